"""What a file that somebody downloads is called: by its point and its time, not always the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME_CHARACTERS_MAX = 80
_NOT_IN_NAMES = re.compile(r"[^\w.]+")


def csv_name(paths: Sequence[str], from_ns: int, to_ns: int) -> str:
    """`P-301-flow_20261126T110000Z_20261126T120000Z.csv`; `and-2` counts the points not named."""
    assert paths
    name = _NOT_IN_NAMES.sub("-", "-".join(paths[0].split("/")[-2:])).strip("-.")
    more = f"-and-{len(paths) - 1}" if len(paths) > 1 else ""
    return f"{name[:NAME_CHARACTERS_MAX]}{more}_{_stamp(from_ns)}_{_stamp(to_ns)}.csv"


def attachment(name: str) -> dict[str, str]:
    """The header that gives a download its name; letters beyond ASCII as RFC 6266 has them."""
    plain = name.encode("ascii", "replace").decode().replace("?", "-")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    }


def _stamp(time_ns: int) -> str:
    """To the second, without the colons that Windows forbids in names."""
    return re.sub(r"[-:]", "", format_ns(time_ns)[:19]) + "Z"
