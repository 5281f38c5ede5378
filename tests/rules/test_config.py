"""Rule files: every problem at once, each with its place."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from penstock.model import Point, ValueKind
from penstock.rules.config import load_rules, read_rule_files
from penstock.rules.rule import CommunicationRule, LimitRule, Side

POINTS = (
    Point(UUID(int=1), 1, "plant/p1/temperature", "plant/p1", "temperature", ValueKind.FLOAT,
          low=0.0, high=150.0),
    Point(UUID(int=2), 2, "plant/p1/text", "plant/p1", "text", ValueKind.TEXT),
    Point(UUID(int=3), 3, "system/node/line/plc/connected", "system", "connected", ValueKind.INT),
)  # fmt: skip

WHOLE = """
[[rules]]
name = "Bearing hot"
point = "plant/p1/temperature"
kind = "limit"
side = "high"
level = 80
hysteresis = 2.5
on_delay_s = 0.5
priority = 2
latched = true
cause = { en = "Lubrication is missing.", de = "Schmierung fehlt." }
consequence = "The bearing seizes."
response = "Reduce the load, then lubricate."
time_to_respond_s = 600.0
"""


def test_a_whole_rule_is_read() -> None:
    loaded = load_rules({"rules/pumps.toml": WHOLE}, POINTS[:2])

    (rule,) = loaded.rules
    assert () == loaded.problems
    assert isinstance(rule, LimitRule)
    assert (Side.HIGH, 80, 2.5, 500_000_000) == (
        rule.side, rule.level, rule.hysteresis, rule.on_delay_ns
    )  # fmt: skip
    assert isinstance(rule.level, int)
    assert "Schmierung fehlt." == rule.texts.cause["de"]
    assert {"en": "The bearing seizes."} == rule.texts.consequence


def test_its_identity_is_stable() -> None:
    first, second = (load_rules({"a.toml": WHOLE}, POINTS).rules[0].id for _ in range(2))

    assert first == second


def test_each_connected_point_brings_its_rule() -> None:
    (rule,) = load_rules({}, POINTS).rules

    assert isinstance(rule, CommunicationRule)
    assert "line/plc" == rule.name
    assert "plc" in rule.texts.response["de"]


def test_an_alarm_without_an_answer_is_refused() -> None:
    lines = [line for line in WHOLE.splitlines() if not line.startswith(("response", "time_"))]

    problems = load_rules({"a.toml": "\n".join(lines)}, POINTS).problems

    assert ["a.toml:rules[0].response", "a.toml:rules[0].time_to_respond_s"] == [
        problem.place for problem in problems
    ]
    assert "No alarm without response" in problems[0].message


def test_all_problems_of_all_files_come_at_once() -> None:
    files = {
        "a.toml": WHOLE.replace("priority = 2", 'priority = 9\ncolour = "red"'),
        "b.toml": WHOLE.replace("plant/p1/temperature", "plant/p9/x"),
        "c.toml": WHOLE.replace("plant/p1/temperature", "plant/p1/text"),
        "d.toml": WHOLE + WHOLE,
        "e.toml": "rules = 3",
        "f.toml": "[[rules",
        "g.toml": WHOLE.replace("level = 80", "level = nan"),
        "h.toml": WHOLE.replace('{ en = "Lubrication is missing.", de', "{ de"),
    }

    places = {problem.place for problem in load_rules(files, POINTS).problems}

    assert places >= {
        "a.toml:rules[0].priority",
        "a.toml:rules[0].colour",
        "b.toml:rules[0].point",
        "c.toml:rules[0].point",
        "d.toml:rules[1]",
        "e.toml:rules",
        "f.toml",
        "g.toml:rules[0].level",
        "h.toml:rules[0].cause",
    }


def test_a_limit_on_a_waveform_is_refused() -> None:
    axis = Point(UUID(int=9), 9, "plant/p1/temperature", "plant/p1", "t", ValueKind.WAVEFORM)

    [problem] = load_rules({"a.toml": WHOLE}, [axis]).problems

    assert "is a waveform; a limit needs a number" in problem.message


def test_a_limit_that_can_never_be_reached_is_a_warning() -> None:
    loaded = load_rules({"a.toml": WHOLE.replace("level = 80", "level = 150")}, POINTS[:1])

    assert 1 == len(loaded.rules)
    assert [True] == [problem.is_warning for problem in loaded.problems]


def test_files_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text("")
    (tmp_path / "a.toml").write_text("")

    assert ["plant/rules/a.toml", "plant/rules/b.toml"] == list(read_rule_files(tmp_path))
    assert {} == read_rule_files(tmp_path / "none")


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfe[[rules]]", b"level = " + b"9" * 5000, b"a = " + b"[" * 20_000],
    ids=["not UTF-8", "a number beyond all sense", "a depth beyond all sense"],
)
def test_a_file_that_cannot_be_read_is_a_problem_with_its_place(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.toml").write_bytes(content)
    (tmp_path / "b.toml").mkdir()

    loaded = load_rules(read_rule_files(tmp_path), POINTS[:1])

    places = ["plant/rules/a.toml", "plant/rules/b.toml"]
    assert places == [problem.place for problem in loaded.problems]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + WHOLE.encode())

    assert () == load_rules(read_rule_files(tmp_path), POINTS[:2]).problems
