"""Numbers in texts: which sign is the decimal one, and the SQL that reads cells by it.

`1.500` is one and a half or one thousand five hundred; only another cell can tell, so a
file in which none does is a question. DuckDB casts the texts, because it rounds as IEEE
says; what it would take in silence (`1_000`, `1.5` as the integer 2) is kept from it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

OK, EMPTY, NO_VALUE, MISFIT, INFINITE = range(5)
"""States of a cell: a value, nothing there, a word for "no value", no such value, infinity."""

NO_VALUE_WORDS = (
    "nan", "-nan", "null", "none", "nil", "n/a", "na", "#n/a", "#nv", "#na", "#value!", "#wert!",
    "#div/0!", "#ref!", "#bezug!", "bad", "-", "--", "---", "?", "no data", "keine daten",
    "invalid",
)  # fmt: skip
INFINITE_WORDS = ("inf", "+inf", "-inf", "infinity", "+infinity", "-infinity")
TRUE_WORDS = ("true", "wahr", "on", "ein", "yes", "ja", "vrai")
FALSE_WORDS = ("false", "falsch", "off", "aus", "no", "nein", "faux")

_PLAIN = re.compile(r"[+-]?\d+")
_ONE_SIGN = re.compile(r"[+-]?(\d*)([.,])(\d*)(?:[eE][+-]?\d+)?")
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(?:([.,])\d{3}){2,}|[+-]?\d{1,3}(?:\.\d{3})+,\d*|[+-]?\d{1,3}(?:,\d{3})+\.\d*"
)
_TEXT_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """What texts say of the decimal sign: one that settles it each way, and what may be both."""

    dot: str = ""
    comma: str = ""
    either: tuple[str, ...] = ()

    @property
    def decimal(self) -> str | None:
        """The sign (dot or comma) if all agree."""
        if bool(self.dot) == bool(self.comma):
            return None
        return "dot" if self.dot else "comma"

    @property
    def is_open(self) -> bool:
        """There are signs, and nothing settles them."""
        return self.decimal is None and bool(self.dot or self.either)


def weigh(texts: Iterable[str]) -> Evidence:
    """Evidence of some cells; what is no number says nothing."""
    dot = comma = ""
    either: list[str] = []
    for text in texts:
        sign = decimal_of(text)
        if sign == ".":
            dot = dot or text
        elif sign == ",":
            comma = comma or text
        elif sign == "?" and len(either) < 5 and text not in either:
            either.append(text)
    return Evidence(dot, comma, tuple(either))


def decimal_of(text: str) -> str:
    """The decimal sign that the text must have; "?" if it may be both; "" if it says nothing."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return ""
    one = _ONE_SIGN.fullmatch(text)
    if one is not None and (one[1] or one[3]):
        whole, sign, rest = one.groups()
        is_group = len(rest) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
        return "?" if is_group and "e" not in text.casefold() else sign
    grouped = _GROUPED.fullmatch(text)
    if grouped is None:
        return ""
    if grouped[1]:
        return "," if grouped[1] == "." else "."
    return "," if text.rindex(",") > text.rindex(".") else "."


def float_sql(cell: str, decimal: str | None) -> str:
    """DOUBLE of a trimmed VARCHAR, NULL if it is none."""
    return f"CASE WHEN contains({cell}, '_') THEN NULL ELSE {_cast(cell, decimal, 'DOUBLE')} END"


def int_sql(cell: str, decimal: str | None) -> str:
    """BIGINT of a trimmed VARCHAR: integers, whole decimals, and words for true and false."""
    exact, rough = _cast(cell, decimal, "DECIMAL(38, 9)"), _cast(cell, decimal, "DOUBLE")
    return (
        f"CASE WHEN regexp_full_match({cell}, '[+-]?[0-9]+') THEN TRY_CAST({cell} AS BIGINT) "
        f"WHEN lower({cell}) IN {_list(TRUE_WORDS)} THEN 1 "
        f"WHEN lower({cell}) IN {_list(FALSE_WORDS)} THEN 0 "
        f"WHEN regexp_full_match({cell}, '[+-]?[0-9.,]+([eE][+-]?[0-9]+)?') "
        f"AND {exact} = floor({exact}) AND {exact}::DOUBLE = {rough} "
        f"THEN TRY_CAST({exact} AS BIGINT) END"
    )


def float_state_sql(cell: str, value: str) -> str:
    """State of a cell that is a number or none."""
    return (
        f"CASE WHEN {cell} IS NULL OR {cell} = '' THEN {EMPTY} "
        f"WHEN isfinite({value}) THEN {OK} "
        f"WHEN lower({cell}) IN {_list(NO_VALUE_WORDS)} THEN {NO_VALUE} "
        f"WHEN lower({cell}) IN {_list(INFINITE_WORDS)} THEN {INFINITE} ELSE {MISFIT} END"
    )


def int_state_sql(cell: str, value: str) -> str:
    """State of a cell that is an integer or none."""
    words = (*NO_VALUE_WORDS, *INFINITE_WORDS)
    return (
        f"CASE WHEN {cell} IS NULL OR {cell} = '' THEN {EMPTY} WHEN {value} IS NOT NULL THEN {OK} "
        f"WHEN lower({cell}) IN {_list(words)} THEN {NO_VALUE} ELSE {MISFIT} END"
    )


def text_state_sql(cell: str) -> str:
    """State of a text: too long is a misfit."""
    return (
        f"CASE WHEN {cell} IS NULL OR {cell} = '' THEN {EMPTY} "
        f"WHEN strlen({cell}) > {_TEXT_BYTES_MAX} THEN {MISFIT} ELSE {OK} END"
    )


def _cast(cell: str, decimal: str | None, type_: str) -> str:
    """With the other sign as groups of three, and with no sign at all while none is settled."""
    if decimal is None:
        return (
            f"CASE WHEN contains({cell}, '.') OR contains({cell}, ',') THEN NULL "
            f"ELSE TRY_CAST({cell} AS {type_}) END"
        )
    if decimal == "dot":
        pattern, plain = "[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]*)?", cell
        bare, group = f"replace({cell}, ',', '')", ","
    else:
        pattern = "[+-]?[0-9]{1,3}([.][0-9]{3})+(,[0-9]*)?"
        plain = f"replace({cell}, ',', '.')"
        bare, group = f"replace(replace({cell}, '.', ''), ',', '.')", "."
    return (
        f"CASE WHEN contains({cell}, '{group}') THEN CASE WHEN regexp_full_match({cell}, "
        f"'{pattern}') THEN TRY_CAST({bare} AS {type_}) END ELSE TRY_CAST({plain} AS {type_}) END"
    )


def _list(words: Iterable[str]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
