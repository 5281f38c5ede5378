"""`plant/rules/*.toml` to rules: all problems of all files at once, each with its place.

A point may be missing a language but never English; a rule may be missing
nothing, because an alarm without a response is a lamp that nobody understands.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from penstock.model import ConfigProblem, ValueKind
from penstock.model.system_path import split_connected
from penstock.model.time import SECOND_NS
from penstock.rules.rule import (
    LANGUAGE_DEFAULT,
    LimitRule,
    Rule,
    RuleTexts,
    Side,
    communication_rule,
    rule_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from penstock.model import Point

RULES_MAX = 100_000
RuleFiles = dict[str, str | OSError | UnicodeDecodeError]
DELAY_S_MAX = 86_400.0
_INT64_LIMIT = 2**63


def _texts(value: object) -> object:
    return {LANGUAGE_DEFAULT: value} if isinstance(value, str) else value


Texts = Annotated[
    dict[str, Annotated[str, Field(min_length=3, max_length=1_000)]], BeforeValidator(_texts)
]
Number = Annotated[int, Field()] | Annotated[float, Field(allow_inf_nan=False)]


class LimitRuleConfig(BaseModel):
    """One `[[rules]]` entry of kind "limit"."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str | None = Field(None, description="UUID; without it, it follows from point and name.")
    name: str = Field(min_length=1, max_length=200, description="Short name, unique at its point.")
    point: str = Field(description="Path of the point whose value is watched.")
    kind: Literal["limit"] = Field(description="Kind of the rule.")
    side: Literal["high", "low"] = Field(description="Alarm above (high) or below (low) the level.")
    level: Number = Field(description="Limit in the point's unit; exactly at it is no alarm.")
    hysteresis: Number = Field(0, ge=0, description="How far back the value must be to return.")
    on_delay_s: float = Field(0.0, ge=0, le=DELAY_S_MAX, description="Beyond for this long, in s.")
    off_delay_s: float = Field(0.0, ge=0, le=DELAY_S_MAX, description="Back for this long, in s.")
    priority: int = Field(3, ge=1, le=4, description="1 (worst) to 4.")
    latched: bool = Field(False, description="Stays until acknowledged, even when it is over.")
    cause: Texts = Field(description="Why it happens, by language; a plain text is English.")
    consequence: Texts = Field(description="What happens if nobody acts.")
    response: Texts = Field(description="What the operator does.")
    time_to_respond_s: float = Field(gt=0, allow_inf_nan=False, description="Time to act, in s.")


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """Every rule that is right, and every problem; nothing starts while one is no warning."""

    rules: tuple[Rule, ...]
    problems: tuple[ConfigProblem, ...]


def read_rule_files(folder: Path) -> RuleFiles:
    """Text of each `*.toml` of the folder by its name, or why it cannot be read."""
    return {f"plant/rules/{path.name}": _text(path) for path in sorted(folder.glob("*.toml"))}


def _text(path: Path) -> str | OSError | UnicodeDecodeError:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return error


def load_rules(
    files: Mapping[str, str | OSError | UnicodeDecodeError], points: Iterable[Point]
) -> LoadedRules:
    """Rules of all files and the built-in ones, checked against the points they name."""
    by_path = {point.path: point for point in points}
    problems: list[ConfigProblem] = []
    rules: dict[UUID, Rule] = {}
    for place, entry in _entries(files, problems):
        config = _config(place, entry, problems)
        rule = _limit_rule(place, config, by_path, problems) if config else None
        if rule is not None and rule.id in rules:
            problems.append(ConfigProblem(place, f"{rule.name!r} is there twice at this point."))
        elif rule is not None:
            rules[rule.id] = rule
    if len(rules) > RULES_MAX:
        problems.append(ConfigProblem("rules", f"{len(rules)} rules; at most {RULES_MAX}."))
    built_in = [
        communication_rule(point.id, path)
        for path, point in by_path.items()
        if split_connected(path) is not None
    ]
    return LoadedRules((*rules.values(), *built_in), tuple(problems))


def _entries(
    files: Mapping[str, str | OSError | UnicodeDecodeError], problems: list[ConfigProblem]
) -> Iterator[tuple[str, dict[str, object]]]:
    for name, text in files.items():
        if not isinstance(text, str):
            problems.append(ConfigProblem(name, f"This cannot be read: {text}."))
            continue
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(ConfigProblem(name, f"This is not TOML: {error}."))
            continue
        problems += [
            ConfigProblem(f"{name}:{key}", "Unknown key; rules are [[rules]].")
            for key in sorted(document.keys() - {"rules"})
        ]
        entries = document.get("rules", [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            problems.append(ConfigProblem(f"{name}:rules", "Write each rule as [[rules]]."))
            continue
        for index, entry in enumerate(entries):
            yield f"{name}:rules[{index}]", entry


def _config(
    place: str, entry: dict[str, object], problems: list[ConfigProblem]
) -> LimitRuleConfig | None:
    try:
        return LimitRuleConfig.model_validate(entry)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False):
            keys = [str(key) for key in found["loc"] if str(key) in LimitRuleConfig.model_fields]
            key = keys[0] if keys else ".".join(str(part) for part in found["loc"])
            message = _missing(key) if found["type"] == "missing" else f"{found['msg']}."
            problem = ConfigProblem(f"{place}.{key}", message)
            if problem not in problems:
                problems.append(problem)
        return None


def _missing(key: str) -> str:
    if key in ("cause", "consequence", "response", "time_to_respond_s"):
        return f"No alarm without {key}: say what the operator needs to know."
    return "This is missing."


def _limit_rule(
    place: str,
    config: LimitRuleConfig,
    by_path: Mapping[str, Point],
    problems: list[ConfigProblem],
) -> LimitRule | None:
    found = list(_wrong(place, config, by_path.get(config.point)))
    problems += found
    if any(not problem.is_warning for problem in found):
        return None
    return LimitRule(
        id=UUID(config.id) if config.id else rule_id(config.point, config.name),
        name=config.name,
        point=by_path[config.point].id,
        side=Side(config.side),
        level=config.level,
        texts=RuleTexts(config.cause, config.consequence, config.response),
        time_to_respond_s=config.time_to_respond_s,
        hysteresis=config.hysteresis,
        on_delay_ns=round(config.on_delay_s * SECOND_NS),
        off_delay_ns=round(config.off_delay_s * SECOND_NS),
        priority=config.priority,
        latched=config.latched,
    )


def _wrong(place: str, config: LimitRuleConfig, point: Point | None) -> Iterator[ConfigProblem]:
    if config.id is not None and not _is_uuid(config.id):
        yield ConfigProblem(f"{place}.id", f"{config.id!r} is not a UUID; leave it out.")
    for key in ("cause", "consequence", "response"):
        if LANGUAGE_DEFAULT not in getattr(config, key):
            yield ConfigProblem(f"{place}.{key}", "The English text (en) is missing.")
    if point is None:
        yield ConfigProblem(f"{place}.point", f"There is no point {config.point!r}.")
        return
    if point.kind is ValueKind.TEXT:
        yield ConfigProblem(
            f"{place}.point", f"{config.point!r} is a text; a limit needs a number."
        )
    if point.kind is ValueKind.WAVEFORM:
        yield ConfigProblem(
            f"{place}.point", f"{config.point!r} is a waveform; a limit needs a number."
        )
    if point.kind is ValueKind.INT and abs(config.level) >= _INT64_LIMIT:
        yield ConfigProblem(f"{place}.level", "The level does not fit into 64 bits.")
    low, high = point.low, point.high
    if high is not None and config.side == "high" and config.level >= high:
        message = f"{config.level:g} can not be exceeded: the point ends at {high:g}."
        yield ConfigProblem(f"{place}.level", message, is_warning=True)
    if low is not None and config.side == "low" and config.level <= low:
        message = f"Nothing is below {config.level:g}: the point begins at {low:g}."
        yield ConfigProblem(f"{place}.level", message, is_warning=True)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
