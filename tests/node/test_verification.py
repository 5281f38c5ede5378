"""Verification by night or when asked: compute reads every byte, core keeps the result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from real_compute import RealCompute
from scripted import NODE, wait_for

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.manifest import manifest_names
from penstock.historian.query import raw
from penstock.historian.segment import decode_table
from penstock.log import Log, LogSettings
from penstock.model import Batch, Origin, Refused
from penstock.node.core.compaction import Compaction
from penstock.node.core.compute_link import ComputeLink
from penstock.node.core.pins import Pins
from penstock.node.core.verification import Verification, last_time_of_day
from penstock.node.core.views import VerificationSummaryView, VerificationView
from penstock.node.settings import ComputeSettings
from penstock.node.spool import Spool
from penstock.testing import FakeClock, frame
from penstock.world import SystemDisk

BERLIN = ZoneInfo("Europe/Berlin")
S = 1_000_000_000
DAY_S = 86_400


def ns(text: str, zone: ZoneInfo | Any = UTC) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * S


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-26 02:30:00", "2026-11-26 02:30:00"),
        ("2026-11-26 02:29:59", "2026-11-25 02:30:00"),
        ("2026-11-26 23:00:00", "2026-11-26 02:30:00"),
        ("2026-01-01 00:00:00", "2025-12-31 02:30:00"),
    ],
)
def test_the_time_is_that_of_the_plants_clocks(now: str, expected: str) -> None:
    assert ns(expected, BERLIN) == last_time_of_day("02:30", BERLIN, ns(now, BERLIN))


def test_a_night_without_that_time_and_one_with_two_have_one_verification() -> None:
    """02:30 does not exist on the last Sunday of March, and is there twice in October."""
    march = [last_time_of_day("02:30", BERLIN, ns(f"2026-03-29 0{h}:59:59")) for h in (0, 1, 2)]
    october = [last_time_of_day("02:30", BERLIN, ns(f"2026-10-25 0{h}:59:59")) for h in (0, 1, 2)]

    assert ns("2026-03-28 01:30:00") == march[0]
    assert [ns("2026-03-29 01:30:00")] * 2 == march[1:]
    assert [ns("2026-10-25 00:30:00")] * 3 == october


class Bench:
    """Core's historian on a real disk with three segments, and a real compute process."""

    def __init__(self, home: Path, log: Log) -> None:
        self.home = home
        self.log = log
        self.disk = SystemDisk()
        self.clock = FakeClock()
        self.folder = home / "data" / "segments"
        self.log_folder = home / "data" / "log" / "0"
        settings = HistorianSettings(compaction_segments_min=3)
        historian = Historian.open(self.disk, self.folder, settings)
        self.worker = HistorianWorker(historian, log, self.clock)
        self.link = ComputeLink(
            log, lambda _id: None, node=NODE, settings=ComputeSettings().for_compute()
        )
        spool = Spool(self.disk, home / "data")
        self.pins = Pins(self.worker, self.link, self.disk, spool, self.clock)
        self.compaction = Compaction(self.worker, self.link, self.clock)
        self.verification = self.new_verification()
        self.compute = RealCompute(home, str(NODE))

    def new_verification(self, **settings: Any) -> Verification:
        """As after a start of core."""
        return Verification(
            self.link,
            self.disk,
            self.home / "data",
            self.clock,
            ComputeSettings(**settings),
            "Europe/Berlin",
        )

    async def fill(self) -> None:
        for number in range(1, 4):
            times = [number * 1_000 * S + n * S for n in range(500)]
            values = [n * 0.1 for n in range(500)]
            await self.log.append_batch(
                Batch(Origin(NODE, 1, 1), number, (frame(7, times, values),))
            )
            await self.worker.take_available()
            await self.worker.flush_now()

    def answers(self) -> Any:
        rows, _ = raw(self.worker.historian.pin([7]), 7, 0, 2**62, 100_000)
        return rows.time_ns.tolist(), rows.value.tolist(), rows.quality.tolist()  # type: ignore[union-attr]

    def damage_chunk(self, segment: int = 1) -> str:
        """Flip a bit in a segment's first chunk; the place's name."""
        info = self.worker.historian.manifest.segments[segment]
        data = bytearray(self.disk.read(self.folder / info.name))
        table = decode_table(data[info.table_offset :], info.table_offset)
        offset = int(table.offset[0])
        data[offset + 80] ^= 4
        self.disk.write_whole(self.folder / info.name, [bytes(data)])
        return f"segments/{info.name}@{offset}"

    def forget_log(self) -> None:
        """As retention does once every reader has passed."""
        for name in self.disk.list(self.log_folder):
            if name.endswith(".log"):
                self.disk.remove(self.log_folder / name)

    def quarantine(self) -> list[str]:
        return self.disk.list(self.home / "data" / "quarantine")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    log = await Log.open(
        tmp_path / "data" / "log" / "0",
        disk=SystemDisk(),
        clock=FakeClock(),
        origin=Origin(NODE, 0, 1),
        settings=LogSettings(linger_ms=0, ballast_bytes=64 * 1024),
    )
    log.declare_reader("nobody", blocks=True)
    made = Bench(tmp_path, log)
    try:
        await made.fill()
        await made.compute.link(made.link)
        yield made
    finally:
        await made.verification.close()
        await made.link.close()
        made.compute.close()
        await made.worker.close(flush=False)
        await log.close()


@pytest.mark.slow
async def test_a_history_that_is_whole_is_verified_and_the_result_outlives_a_start(
    bench: Bench,
) -> None:
    result = await bench.verification.verify()

    assert ([], 3, 1_500) == (result["damage"], result["segments"], result["rows"])
    assert bench.log.durable == result["log_records"]
    again = bench.new_verification()
    view = VerificationView.model_validate(again.document())
    assert view.result is not None
    assert (1_500, []) == (view.result.rows, view.result.damage)
    assert (None, 0) == (view.job, VerificationSummaryView(**again.summary()).damaged)  # type: ignore[arg-type]
    assert [] == again.notices()


@pytest.mark.slow
async def test_damage_is_mended_from_the_log_and_the_damaged_file_is_kept(bench: Bench) -> None:
    before = bench.answers()
    place = bench.damage_chunk()
    bench.answers()
    assert 1 == bench.worker.historian.statistics()["damaged_chunks"], "a query has met it"
    damaged = bench.worker.historian.manifest.segments[1].name
    result = await bench.verification.verify()

    assert [place] == result["mended"]
    assert 0 == bench.worker.historian.statistics()["damaged_chunks"]
    assert ([], before) == (bench.verification.notices(), bench.answers())
    bench.worker.historian.forget_replaced()
    assert damaged not in bench.disk.list(bench.folder)
    assert [f"00000001-{damaged}"] == bench.quarantine() == result["quarantined"]
    assert [] == (await bench.verification.verify())["damage"], "and now all is whole"


@pytest.mark.slow
async def test_damage_that_the_log_cannot_mend_is_named_until_somebody_acts(bench: Bench) -> None:
    place = bench.damage_chunk()
    bench.forget_log()
    result = await bench.verification.verify()

    assert [] == result["mended"]
    (notice,) = bench.verification.notices()
    assert ("history_damaged", place) == (notice["code"], notice["params"]["place"])  # type: ignore[index,call-overload]
    view = VerificationView.model_validate(bench.new_verification().document())
    assert view.result is not None
    rows = {row.place: row for row in view.result.damage}
    assert ("chunk", 7, False) == (rows[place].what, rows[place].point, rows[place].mended)
    assert "any more" in str(rows[place].why_not)
    assert [] == bench.quarantine()


@pytest.mark.slow
async def test_damage_of_the_log_alone_has_a_notice_of_its_own(bench: Bench) -> None:
    name = next(n for n in bench.disk.list(bench.log_folder) if n.endswith(".log"))
    data = bytearray(bench.disk.read(bench.log_folder / name))
    data[len(data) - 2_000] ^= 1
    bench.disk.write_whole(bench.log_folder / name, [bytes(data)])
    result = await bench.verification.verify()

    (notice,) = bench.verification.notices()
    assert "log_files_damaged" == notice["code"]
    assert str(notice["params"]["place"]).startswith(f"log/0/{name}@")  # type: ignore[index,call-overload]
    assert [] == result["mended"]


@pytest.mark.slow
async def test_a_manifest_that_is_damaged_on_disk_is_written_again(bench: Bench) -> None:
    """Core has it in memory; without this the next start would be refused."""
    name = manifest_names(bench.disk, bench.folder)[-1]
    data = bytearray(bench.disk.read(bench.folder / name))
    data[200] ^= 1
    bench.disk.write_whole(bench.folder / name, [bytes(data)])
    result = await bench.verification.verify()

    assert [f"segments/{name}"] == result["mended"]
    assert name not in manifest_names(bench.disk, bench.folder)
    again = Historian.open(bench.disk, bench.folder, HistorianSettings())
    assert bench.worker.historian.manifest.segments == again.manifest.segments


@pytest.mark.slow
async def test_repair_can_be_switched_off(bench: Bench) -> None:
    bench.damage_chunk()
    verification = bench.new_verification(repair=False)
    result = await verification.verify()

    assert ([], 1) == (result["mended"], len(verification.notices()))


@pytest.mark.slow
async def test_the_progress_can_be_seen_and_the_work_cancelled(bench: Bench) -> None:
    verification = bench.new_verification(verify_mb_per_s=0.1)
    big = Batch(Origin(NODE, 1, 1), 9, (frame(8, [n * S for n in range(30_000)], [0.5] * 30_000),))
    await bench.log.append_batch(big)
    job = verification.start()
    with pytest.raises(Refused) as refused:
        verification.start()
    await wait_for(lambda: "total" in bench.link.jobs.get(job, {}).get("progress", {}))  # type: ignore[operator]

    assert "conflict" == refused.value.code
    assert job == verification.job
    bench.link.cancel(job)
    await wait_for(lambda: verification.job is None)
    assert None is verification.result


@pytest.mark.slow
async def test_it_is_done_once_a_night_and_made_up_for_after_a_start(bench: Bench) -> None:
    verification = bench.new_verification()
    assert not verification.is_due(), "a new node has no night to make up for"
    bench.clock.advance(DAY_S * S)
    assert verification.is_due()
    task = asyncio.ensure_future(verification.run())
    await asyncio.sleep(0)
    bench.clock.advance(61 * S)
    await wait_for(lambda: verification.result is not None and verification.job is None)
    task.cancel()
    assert verification.result is not None
    verification.result["began_ns"] = str(bench.clock.now_ns())
    assert not verification.is_due()
    verification._save()

    bench.clock.advance(3 * DAY_S * S)
    again = bench.new_verification()
    assert not again.is_due(), "a start has other things to do first"
    bench.clock.advance(601 * S)
    assert again.is_due()
    assert not bench.new_verification(verify_at="").is_due()


@pytest.mark.slow
async def test_without_compute_it_waits_and_a_person_is_told(bench: Bench) -> None:
    bench.compute.kill()
    await wait_for(lambda: not bench.link.is_connected)

    with pytest.raises(Refused) as refused:
        bench.verification.start()
    assert "compute_away" == refused.value.code
    bench.clock.advance(DAY_S * S)
    await bench.verification._try()
    assert bench.verification.is_due(), "in a minute again"


@pytest.mark.slow
async def test_compute_compacts_what_core_has_flushed(bench: Bench) -> None:
    before, position = bench.answers(), bench.worker.historian.position
    old = {info.name for info in bench.worker.historian.manifest.segments}
    is_done = await bench.compaction.step()

    new = {info.name for info in bench.worker.historian.manifest.segments}
    assert (True, 1, False) == (is_done, len(new), bool(old & new))
    assert (before, position) == (bench.answers(), bench.worker.historian.position)
    await asyncio.to_thread(bench.worker.historian.forget_replaced)
    await wait_for(lambda: not old & set(bench.disk.list(bench.folder)))
    assert not await bench.compaction.step(), "there is nothing more to do"


@pytest.mark.slow
async def test_a_chunk_of_a_day_file_is_mended_too(bench: Bench) -> None:
    before = bench.answers()
    await bench.compaction.step()
    place = bench.damage_chunk(0)
    result = await bench.verification.verify()

    assert ([place], before) == (result["mended"], bench.answers())


@pytest.mark.slow
async def test_a_compaction_waits_for_compute_and_says_so_once(bench: Bench) -> None:
    bench.compute.kill()
    await wait_for(lambda: not bench.link.is_connected)
    before = bench.worker.historian.manifest

    assert [False, False] == [await bench.compaction.step(), await bench.compaction.step()]
    assert (2, before) == (bench.compaction.failures, bench.worker.historian.manifest)


@pytest.mark.slow
async def test_a_proposal_that_is_no_longer_true_is_refused(bench: Bench) -> None:
    for fields in ({"remove": []}, {"manifest_version": 1, "remove": ["gone.seg"], "add": []}):
        with pytest.raises(Refused) as refused:
            await bench.compaction.commit(fields)  # type: ignore[arg-type]
        assert refused.value.code in {"bad_request", "conflict"}
