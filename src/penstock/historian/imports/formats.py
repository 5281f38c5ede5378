"""Which formats of time fit some texts, and how a file's columns of times are found."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from penstock.historian.imports.times import EPOCHS, ORDERS, read_times
from penstock.model import TextColumn
from penstock.model.time import SECOND_NS

# 1990 to 2100: in it no number is a time in two units.
_LIKELY = (631_152_000 * SECOND_NS, 4_102_444_800 * SECOND_NS)
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d{1,9})?)?")
_NUMBER = re.compile(r"-?\d+([.,]\d+)?")
_TEXTS_MAX = 2_000
_SHARE = 0.6


def fit_share(texts: Sequence[str]) -> float:
    """Share of texts that are times in the format that fits best."""
    if not texts:
        return 0.0
    fits = fitting(texts)
    return max(fits.values()) / len(texts[:_TEXTS_MAX])


def fitting(texts: Sequence[str]) -> dict[str, int]:
    """How many of the texts are times, by format; numbers only where they are likely times."""
    column = TextColumn.of(text[:64] for text in texts[:_TEXTS_MAX])
    found = {order: int(read_times(column, order).is_time.sum()) for order in ORDERS}
    for unit in EPOCHS:
        times = read_times(column, unit)
        is_likely = (times.time_ns >= _LIKELY[0]) & (times.time_ns < _LIKELY[1])
        found[unit] = int((times.is_time & is_likely).sum())
    return found


def formats_of(texts: Sequence[str]) -> list[str]:
    """Formats that fit most texts, equally well; empty if none does."""
    fits = fitting(texts)
    best = max(fits.values())
    if best < _SHARE * len(texts[:_TEXTS_MAX]) or not best:
        return []
    return [name for name, count in fits.items() if count == best]


def has_offsets(texts: Sequence[str], time_format: str) -> bool:
    """Whether every text that is a time says how far it is from UTC."""
    column = TextColumn.of(text[:64] for text in texts[:_TEXTS_MAX])
    times = read_times(column, time_format)
    return bool(np.all(times.is_utc[times.is_time]))


def is_number(texts: Sequence[str]) -> bool:
    """Whether all are numbers."""
    return all(_NUMBER.fullmatch(text) for text in texts)


def is_clock(texts: Sequence[str]) -> bool:
    """Whether all are times of day without a date."""
    return bool(texts) and all(_CLOCK.fullmatch(text) for text in texts[:_TEXTS_MAX])
