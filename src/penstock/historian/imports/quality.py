"""Words for quality in files, and the questions that they leave open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from penstock.historian.imports.options import Choice, Question
from penstock.model import Quality

_WORDS = {
    "ok": Quality.GOOD, "gut": Quality.GOOD, "valid": Quality.GOOD, "gültig": Quality.GOOD,
    "schlecht": Quality.BAD, "invalid": Quality.BAD, "ungültig": Quality.BAD,
    "unsicher": Quality.UNCERTAIN, "questionable": Quality.UNCERTAIN,
}  # fmt: skip
_NAMED = {quality.name.lower(): quality for quality in Quality}
_BYTE = re.compile(r"quality_(\d{1,3})")
_SEVERITY = {"good": Quality.GOOD, "uncertain": Quality.UNCERTAIN, "bad": Quality.BAD}


def quality_codes(
    words: Iterable[str], said: Mapping[str, str]
) -> tuple[dict[str, int], Question | None]:
    """Codes by word in small letters; a question about those that may mean anything.

    0 is good in OPC UA and bad in OPC DA: it is settled only by another number beside it.
    """
    folded = {word.strip().casefold() for word in words} - {""}
    told = {word.strip().casefold(): _SEVERITY[severity] for word, severity in said.items()}
    is_da = bool(folded & {"192", "64"})
    found, open_ = {}, []
    for word in sorted(folded):
        code = told.get(word, _code_of(word, is_da=is_da))
        if code is None:
            open_.append(word)
        else:
            found[word] = int(code)
    if not open_:
        return found, None
    return found, Question(
        id="quality_words",
        text=f"What do these words for quality mean: {', '.join(open_[:10])}?",
        choices=[Choice(value=f"{word}=good|uncertain|bad", meaning="") for word in open_[:10]],
    )


def _code_of(word: str, *, is_da: bool) -> int | None:
    known = _NAMED.get(word, _WORDS.get(word))
    if known is not None:
        return int(known)
    named = _BYTE.fullmatch(word)
    digits = named[1] if named else word if is_da and word.isascii() and word.isdigit() else ""
    return int(digits) if digits and int(digits) < 256 else None
