"""Row checksums: an HMAC over a row of a security table, keyed outside the database.

SQLite alone noticed 6 of 25 flipped bits, and none that somebody flipped on
purpose. A row that does not fit its checksum is refused, never repaired.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from penstock.model import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

Cell = str | int | bool


class RowDamaged(Refused):
    """A stored security row does not fit its checksum; whoever reads it audits that."""

    def __init__(self, table: str, key: str) -> None:
        self.table = table
        self.key = key
        super().__init__("damaged_record", table=table)


class RowSeal:
    """Computes and checks checksums; rows are mappings that may carry `checksum` themselves."""

    def __init__(self, key: bytes) -> None:
        assert len(key) >= 32
        self._key = key

    def sealed(self, table: str, row: Mapping[str, Cell]) -> dict[str, Cell]:
        """The row with its checksum."""
        return {**row, "checksum": self._checksum(table, row)}

    def check(self, table: str, row: Mapping[str, Cell]) -> None:
        """Raise RowDamaged when a column was changed by anybody but us."""
        if not hmac.compare_digest(str(row["checksum"]), self._checksum(table, row)):
            raise RowDamaged(table, str(row["id"]))

    def _checksum(self, table: str, row: Mapping[str, Cell]) -> str:
        columns = {name: _cell(value) for name, value in row.items() if name != "checksum"}
        text = json.dumps([table, columns], sort_keys=True, ensure_ascii=True)
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _cell(value: Cell) -> str:
    """Booleans come back as 0/1 from some drivers, so all cells become text."""
    return str(int(value)) if isinstance(value, bool) else str(value)
