"""Questions between core and compute: what was refused there is refused here, with its words.

A question is `{"op", "job", "fields"}`; its answer `{"answer": fields}` or
`{"refused": {"code", "detail", "params"}}`, or what the session says of a crash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.link.session import CRASH
from penstock.model import Refused
from penstock.model.errors import ERROR_TABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from penstock.model.event import Json

    Document = dict[str, Json]


async def answered(work: Awaitable[Document]) -> Document:
    """The outcome of `work` as an answer."""
    try:
        return {"answer": await work}
    except Refused as refusal:
        return {
            "refused": {
                "code": refusal.code,
                "detail": refusal.detail,
                "params": {name: _plain(value) for name, value in refusal.params.items()},
            }
        }


def taken(answer: Document) -> Document:
    """The fields of an answer; Refused as the other end refused, "internal" when it crashed."""
    if CRASH in answer:
        raise Refused("internal", str(answer[CRASH]))
    refused = answer.get("refused")
    if isinstance(refused, dict):
        params = refused["params"]
        assert isinstance(params, dict)
        code = str(refused["code"])
        known = code if code in ERROR_TABLE else "internal"
        raise Refused(known, str(refused["detail"]), **params)
    fields = answer["answer"]
    assert isinstance(fields, dict)
    return fields


def _plain(value: object) -> Json:
    """Params fill the texts of an error; what JSON does not know goes as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
