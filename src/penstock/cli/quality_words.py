"""Words for the quality byte, as the command line says them.

They stand here and not in penstock.model, because importing that package reads
numpy from the disk; a test holds the two together.
"""

from __future__ import annotations

GOOD = 192

WORDS = {
    0: "bad",
    1: "bad: configuration",
    2: "bad: no communication",
    3: "bad: device failure",
    4: "bad: sensor failure",
    5: "bad: not available",
    6: "bad: decoding",
    7: "bad: out of service",
    8: "bad: waiting for data",
    9: "bad: data lost",
    64: "uncertain",
    65: "uncertain: unit exceeded",
    66: "uncertain: substituted",
    67: "uncertain: overridden",
    68: "uncertain: simulated",
    69: "uncertain: source time",
    70: "uncertain: last usable",
    71: "uncertain: sub-normal",
    192: "good",
}


def quality_text(quality: int) -> str:
    """Severity and reason; a byte without a word keeps its number."""
    return WORDS.get(quality, f"quality {quality}")
