"""Words for the quality byte: those of CSV, SQL and the API.

They stand here and not in penstock.model, because importing that package reads
numpy from the disk; a test holds the two together.
"""

from __future__ import annotations

GOOD = 192

WORDS = {
    0: "bad",
    1: "bad_configuration",
    2: "bad_no_communication",
    3: "bad_device_failure",
    4: "bad_sensor_failure",
    5: "bad_not_available",
    6: "bad_decoding",
    7: "bad_out_of_service",
    8: "bad_waiting_for_initial_data",
    9: "bad_data_lost",
    64: "uncertain",
    65: "uncertain_engineering_units_exceeded",
    66: "uncertain_substituted",
    67: "uncertain_overridden",
    68: "uncertain_simulated",
    69: "uncertain_source_time",
    70: "uncertain_last_usable",
    71: "uncertain_sub_normal",
    192: "good",
}


def quality_text(quality: int) -> str:
    """Severity and reason as one word; a byte without a name keeps its number."""
    return WORDS.get(quality, f"quality_{quality}")


def quality_columns(quality: int | None) -> dict[str, str | int | None]:
    """The two keys of JSON: the word, and the byte."""
    word = None if quality is None else quality_text(quality)
    return {"quality": word, "quality_code": quality}
