"""How a route says who may use it: the marker that routes carry and the server looks for.

It knows no FastAPI, so that the check at start-up, the OpenAPI page and the
tests read the same fact that the request is judged by.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.security.permissions import PERMISSIONS

PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Access:
    """`permission` is one of the seven or PUBLIC; `is_anywhere`: one subtree is enough."""

    permission: str
    is_anywhere: bool = False

    def __post_init__(self) -> None:
        assert self.permission == PUBLIC or self.permission in PERMISSIONS, self.permission
