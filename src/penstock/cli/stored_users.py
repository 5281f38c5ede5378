"""Users in the database of a home whose Penstock does not run; the data lock is held meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
from typing import TYPE_CHECKING, TypeVar

from penstock.cli.outcome import Fault
from penstock.model import ConfigError, Refused
from penstock.model.time import format_ns
from penstock.node.home import lock, lock_holder
from penstock.node.prepare import migrate_if_needed, open_node_keys
from penstock.security import Security, local_principal
from penstock.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from penstock.cli.document import Document
    from penstock.node.home import Home
    from penstock.security.users import User

T = TypeVar("T")


class StoredUsers:
    """The same four acts as over the API, audited the same way."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._principal = local_principal(getpass.getuser())

    def all(self) -> list[Document]:
        """Users as the API shows them."""
        return [_document(user) for user in self._do(lambda security: security.users())]

    def add(self, name: str, display_name: str, password: str, role: str) -> Document:
        """A new user; the first one ends the set-up."""
        who = self._principal
        return _document(
            self._do(
                lambda security: security.add_user(
                    who, name, display_name or name, password, (role,)
                )
            )
        )

    def set_password(self, user_id: str, password: str) -> None:
        """Another password."""
        who = self._principal
        self._do(lambda security: security.set_password(who, user_id, password))

    def remove(self, user_id: str) -> None:
        """Delete; the last administrator stays."""
        who = self._principal
        self._do(lambda security: security.delete_user(who, user_id))

    def _do(self, act: Callable[[Security], Coroutine[object, object, T]]) -> T:
        with _open_security(self._home) as security:
            try:
                return asyncio.run(act(security))
            except Refused as refusal:
                remedy = refusal.entry.remedy
                raise Fault(f"{refusal.detail} {remedy}".strip()) from refusal


@contextlib.contextmanager
def _open_security(home: Home) -> Iterator[Security]:
    """Database and keys of the home, alone with them."""
    held = lock(home)
    if held is None:
        raise Fault(
            f"{home.root} is in use by process {lock_holder(home)}, which does not answer yet. "
            "Try again in a moment."
        )
    try:
        keys = open_node_keys(home)
        migrate_if_needed(home)
        state = State.open(home.state_url)
        security = Security(state, keys)
        try:
            yield security
        finally:
            security.close()
            state.close()
    except ConfigError as error:
        raise Fault(str(error)) from error
    finally:
        os.close(held)


def _document(user: User) -> Document:
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "roles": list(user.roles),
        "enabled": user.is_enabled,
        "created": format_ns(user.created_ns),
    }
