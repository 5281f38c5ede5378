"""Errors are named by the reaction they need, and each code says what to do."""

from __future__ import annotations

import re

import pytest

from penstock.model import ConfigError, ConfigProblem, Refused
from penstock.model.errors import ERROR_TABLE


def test_every_code_has_a_status_a_sentence_and_a_remedy() -> None:
    for code, entry in ERROR_TABLE.items():
        assert re.fullmatch("[a-z]+(_[a-z]+)*", code)
        assert 400 <= entry.status < 600
        assert entry.title.endswith(".")
        assert entry.remedy.endswith(".")


def test_a_refusal_without_words_has_those_of_its_code() -> None:
    assert ERROR_TABLE["not_found"].title == str(Refused("not_found"))
    assert "No pump 7." == str(Refused("not_found", "No pump 7."))
    with pytest.raises(AssertionError):
        Refused("no_such_code")


def test_a_configuration_error_says_every_problem_with_its_place() -> None:
    error = ConfigError([ConfigProblem("a.toml:3", "is odd"), ConfigProblem("b.csv", "is gone")])

    assert "a.toml:3: is odd\nb.csv: is gone" == str(error)
    assert 2 == len(error.problems)
