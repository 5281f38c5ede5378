"""What `penstock write` says of a command that was not confirmed: the same as the state table."""

from __future__ import annotations

import pytest

from penstock.cli.write import SENTENCES, sentence


@pytest.mark.parametrize(
    ("state", "problem", "said"),
    [
        ("rejected", "refused", "The device refused the command"),
        ("failed", "not_sent", "the device got nothing"),
        ("failed", "ignored", "holds another value"),
        ("expired", "expired", "nothing was sent"),
        ("unconfirmed", "no_answer", "look at the machine"),
        ("unconfirmed", "restarted", "look at the machine"),
    ],
)
def test_an_end_is_told_by_who_said_no_and_what_went_out(
    state: str, problem: str, said: str
) -> None:
    text = sentence(state, problem, "exception 4")

    assert said in text
    assert text.endswith(" (exception 4).")


def test_no_sentence_calls_anything_a_success() -> None:
    assert not [text for text in SENTENCES.values() if "onfirmed" in text or "done" in text]
