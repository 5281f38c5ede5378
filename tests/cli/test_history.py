"""`query` and `export` against a whole running Penstock."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import duckdb
import nanoarrow as na
import pytest
from product import Product

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SPEED = "Lakeside Water/Intake/P-101/speed"
COUNT = f"SELECT count(*) AS n FROM samples WHERE path = '{SPEED}'"
WAIT_S_MAX = 30.0


@pytest.fixture(scope="module")
def fed(product: Product) -> Product:
    """With samples of the pump's speed, and a compute that answers."""
    until = time.monotonic() + WAIT_S_MAX
    while True:
        done = product.cli("query", COUNT, "--json")
        if done.returncode == 0 and int(json.loads(done.stdout)["rows"][0][0]) > 1:
            return product
        assert time.monotonic() < until, done.stderr
        time.sleep(0.2)


def test_query_prints_a_table_and_says_what_was_read(fed: Product) -> None:
    done = fed.cli("query", f"SELECT path, unit FROM points WHERE path = '{SPEED}'")

    assert 0 == done.returncode
    assert ["path                               unit", f"{SPEED}  %"] == done.stdout.splitlines()
    assert "1 rows; 0 samples were read, as of log record" in done.stderr


def test_query_cuts_and_says_so(fed: Product) -> None:
    done = fed.cli("query", "SELECT path FROM points", "--limit", "2")

    assert 3 == len(done.stdout.splitlines())
    assert "--limit" in done.stderr


@pytest.mark.parametrize("kind", ["csv", "arrow", "parquet", "json"])
def test_query_writes_files_by_their_ending(fed: Product, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"points.{kind}"

    done = fed.cli("query", "SELECT path, low FROM points", "--out", str(path))

    assert 0 == done.returncode, done.stderr
    assert "" == done.stdout
    if kind == "arrow":
        rows = len(na.ArrayStream.from_path(path).read_all())
    elif kind == "json":
        rows = len(json.loads(path.read_text())["rows"])
    else:
        rows = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()[0][0]
    assert rows > 20


def test_query_reads_its_text_from_standard_input(fed: Product) -> None:
    done = fed.cli("query", "-", "--format", "csv", text="SELECT 6 * 7 AS answer")

    assert [["answer"], ["42"]] == list(csv.reader(io.StringIO(done.stdout)))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("query", "SELECT * FROM read_csv('/etc/passwd')"), 1, "not served"),
        (("query", "SELECT nothing FROM samples"), 1, "nothing"),
        (("query", "SELECT 1", "--out", "answer.xlsx"), 2, "--format"),
        (("query", "SELECT 1", "--limit", "0"), 2, "--limit"),
        (("export", "--path", "nowhere", "--from", "1h", "--out", "x.csv"), 1, "nowhere"),
        (("export", "--path", "x", "--from", "1h", "--out", "x.json"), 2, ".csv, .parquet"),
        (("export", "--path", "x", "--from", "1h", "--out", "x.xlsx"), 2, "x.xlsx"),
        (("export", "--path", "x", "--from", "1h", "--out", "no/x.csv"), 2, "no does not exist"),
        (("export", "--from", "1h", "--out", "x.csv"), 2, "--path"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    fed: Product, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = fed.cli(*arguments)

    assert code == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["csv", "arrow", "parquet"])
def test_export_writes_a_file_and_leaves_nothing_else(
    fed: Product, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"speed.{kind}"

    done = fed.cli("export", "--points", SPEED, "--from", "1h", "--out", str(path), "--json")

    assert 0 == done.returncode, done.stderr
    facts = json.loads(done.stdout)
    assert path.stat().st_size == facts["file_bytes"]
    assert [path.name] == [file.name for file in tmp_path.iterdir()]
    if kind == "arrow":
        assert facts["row_count"] == len(na.ArrayStream.from_path(path).read_all())
    else:
        found = duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchall()
        assert [(facts["row_count"],)] == found
    assert facts["row_count"] > 1


def test_a_file_that_exists_is_replaced_only_by_force(fed: Product, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("years of work")
    export = ["export", "--points", SPEED, "--from", "1h", "--out", str(path)]
    query = ["query", "SELECT 1 AS one", "--out", str(path)]

    for command in (export, query):
        done = fed.cli(*command)
        assert 2 == done.returncode
        assert "--force" in done.stderr
        assert "years of work" == path.read_text()
        assert 0 == fed.cli(*command, "--force").returncode
        assert "years of work" != path.read_text()
        path.write_text("years of work")


def test_a_query_that_fails_leaves_the_old_file(fed: Product, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("years of work")

    done = fed.cli("query", "SELECT nothing FROM samples", "--out", str(path), "--force")

    assert 1 == done.returncode
    assert "years of work" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_the_snippets_of_the_how_to_run(fed: Product, tmp_path: Path) -> None:
    """docs/how-to/export-history.md, as it stands there."""
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "export-history.md"
    path = tmp_path / "week.parquet"
    assert 0 == fed.cli("export", "--points", SPEED, "--from", "7d", "--out", str(path)).returncode
    (sql,) = [line for line in guide.read_text().splitlines() if line.startswith("duckdb.sql(")]
    text = sql.split('"')[1].replace("week.parquet", str(path))
    columns = [row[0] for row in duckdb.sql(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]

    assert duckdb.sql(text).fetchall()
    assert all(f"`{name}`" in guide.read_text() for name in columns)


def test_export_takes_a_subtree(fed: Product, tmp_path: Path) -> None:
    path = tmp_path / "intake.parquet"

    done = fed.cli("export", "--path", "Lakeside Water/Intake", "--from", "1h", "--out", str(path))
    found = duckdb.sql(f"SELECT DISTINCT path FROM '{path}'").fetchall()

    assert 0 == done.returncode
    assert all(row[0].startswith("Lakeside Water/Intake/") for row in found)
    assert len(found) > 3
