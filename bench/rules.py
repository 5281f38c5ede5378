"""Rules per second: 1,000-row and one-row frames over 10,000 points with 5,000 limits.

python bench/rules.py
"""

from __future__ import annotations

import statistics
import time
from uuid import UUID

import numpy as np
from _kit import emit

from penstock.model import Frame, Point, ValueKind
from penstock.rules.engine import evaluate
from penstock.rules.rule import LimitRule, RuleTexts, Side
from penstock.rules.table import RuleState, RuleTable

POINTS = 10_000
RULES = 5_000
SECOND_NS = 1_000_000_000
TEXTS = RuleTexts({"en": "cause"}, {"en": "consequence"}, {"en": "response"})


def table() -> RuleTable:
    points = {
        UUID(int=handle): Point(UUID(int=handle), handle, f"p/{handle}", "p", "x", ValueKind.FLOAT)
        for handle in range(POINTS)
    }
    rules = [
        LimitRule(
            id=UUID(int=1_000_000 + number),
            name="limit",
            point=UUID(int=number * 2 // 2 * 2 % POINTS),
            side=Side.HIGH if number % 2 else Side.LOW,
            level=90.0 if number % 2 else 10.0,
            hysteresis=1.0,
            on_delay_ns=SECOND_NS if number % 3 == 0 else 0,
            texts=TEXTS,
            time_to_respond_s=600,
        )
        for number in range(RULES)
    ]
    return RuleTable.build(rules, points)


def frames(rows: int, count: int, hot_share: float) -> list[Frame]:
    random = np.random.default_rng(7)
    made = []
    for number in range(count):
        value = random.uniform(20, 80, rows)
        value[random.random(rows) < hot_share] = 95.0
        made.append(
            Frame(
                random.integers(0, POINTS, rows).astype(np.uint32),
                np.full(rows, (number + 1) * SECOND_NS // 100, np.int64),
                value,
                np.full(rows, 192, np.uint8),
                np.zeros(rows, np.uint8),
            )
        )
    return made


def run(rows: int, count: int, hot_share: float) -> dict[str, float]:
    rules, made = table(), frames(rows, count, hot_share)
    rates, transitions = [], 0
    for _ in range(3):
        state, transitions = RuleState.fresh(rules), 0
        begin = time.process_time()
        for frame in made:
            transitions += len(evaluate(rules, state, frame, int(frame.time_ns[0])))
        rates.append(count / (time.process_time() - begin))
    frames_per_s = statistics.median(rates)
    return {
        "frames_per_cpu_s": round(frames_per_s),
        "values_per_cpu_s": round(frames_per_s * rows),
        "transitions": transitions,
    }


def main() -> None:
    figures = {
        "points": POINTS,
        "rules": RULES,
        "rows_1000_quiet": run(1_000, 2_000, 0.0),
        "rows_1000_hot_1_percent": run(1_000, 500, 0.01),
        "rows_1000_storm": run(1_000, 50, 0.5),
        "rows_1_quiet": run(1, 20_000, 0.0),
        "rows_1_hot_1_percent": run(1, 20_000, 0.01),
        "target": {"values_per_s": 2_000_000, "one_row_frames_per_s": 20_000},
    }
    emit("rules", figures)


if __name__ == "__main__":
    main()
