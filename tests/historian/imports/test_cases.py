"""Files as programs really write them, and the right answer for each."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from import_kit import asked, imported

from penstock.model import ValueKind
from penstock.model.time import format_ns, parse_ns

CASES = Path(__file__).parent / "cases"
KINDS = {"bool": ValueKind.INT, "int": ValueKind.FLOAT, "float": ValueKind.FLOAT}
ZONED = {"german-excel-csv", "history-wide-dst-double-hour", "campbell-toa5", "pi-datalink-pairs"}


def case_of(name: str) -> tuple[bytes, dict[str, Any]]:
    folder = CASES / name
    (source,) = folder.glob("input.*")
    return source.read_bytes(), json.loads((folder / "case.json").read_text())


def plain(name: str) -> str:
    """Grafana's labels stand in the name; the case names the metric alone."""
    return name.split('"')[1] if name.startswith("{__name__") else name


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir()))
def test_a_file_gives_exactly_the_samples_of_its_case(name: str, tmp_path: Path) -> None:
    data, case = case_of(name)
    zone = case.get("context", {}).get("tz")
    kinds = {item["point"]: KINDS[item["type"]] for item in case["expect"]}
    expected = sorted(
        (item["point"], format_ns(parse_ns(item["time"])), item["value"], item["quality"])
        for item in case["expect"]
    )

    found = imported(tmp_path, data, kinds, **({"zone": zone} if zone else {}))

    assert expected == sorted(
        (
            plain(row[0]),
            format_ns(row[1]),
            None if row[3] < 64 else row[2],
            "bad" if row[3] < 64 else "good",
        )
        for row in found.rows
    )
    assert all(math.isnan(row[2]) for row in found.rows if row[3] < 64)


@pytest.mark.parametrize("name", sorted(ZONED))
def test_local_times_are_asked_for_their_zone(name: str, tmp_path: Path) -> None:
    assert ["zone"] == asked(tmp_path, case_of(name)[0])


def test_the_line_of_averages_below_a_table_is_named(tmp_path: Path) -> None:
    data, _ = case_of("german-excel-csv")
    found = imported(tmp_path, data, {"Freigabe/erteilt": ValueKind.INT}, zone="Europe/Berlin")

    assert [(8, "is no time of this format")] == found.reasons()
    assert ["Mittelwert"] == [item.text for item in found.checked.rejects]
