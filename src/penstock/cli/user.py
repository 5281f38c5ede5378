"""`penstock user`: over the API while Penstock runs, else on the database under the data lock."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Protocol

from penstock.cli.client import Client, is_running
from penstock.cli.document import items, rows, text
from penstock.cli.outcome import EXIT_OK, Fault
from penstock.cli.output import say_json, say_table

if TYPE_CHECKING:
    import argparse

    from penstock.cli.document import Document
    from penstock.node.home import Home


class Users(Protocol):
    """What the verb needs, from a server or from the database."""

    def all(self) -> list[Document]:
        """Users as the API shows them."""
        ...

    def add(self, name: str, display_name: str, password: str, role: str) -> Document:
        """A new user."""
        ...

    def set_password(self, user_id: str, password: str) -> None:
        """Another password."""
        ...

    def remove(self, user_id: str) -> None:
        """Delete."""
        ...


def run(options: argparse.Namespace) -> int:
    """add, list, remove or password."""
    password = _password(options) if options.action in {"add", "password"} else ""
    users = open_users(options.home)
    if options.action == "list":
        _say_users(users.all(), is_json=options.json)
        return EXIT_OK
    if options.action == "add":
        made = users.add(options.name, options.display_name, password, options.role)
        return _say(options, made, f"User {text(made['name'])} may log in as {options.role}.")
    user = _by_name(users.all(), options.name)
    if options.action == "remove":
        users.remove(text(user["id"]))
        return _say(options, user, f"User {text(user['name'])} is removed and logged out.")
    users.set_password(text(user["id"]), password)
    return _say(options, user, f"User {text(user['name'])} has the new password.")


def open_users(home: Home) -> Users:
    """The server's users if it runs, else those in the database."""
    if is_running(home):
        return _ServedUsers(Client(home))
    from penstock.cli.stored_users import StoredUsers  # noqa: PLC0415 - SQLAlchemy is slow to read

    return StoredUsers(home)


class _ServedUsers:
    def __init__(self, client: Client) -> None:
        self._client = client

    def all(self) -> list[Document]:
        return rows(self._client.get("/users")["users"])

    def add(self, name: str, display_name: str, password: str, role: str) -> Document:
        body: Document = {"name": name, "password": password, "roles": [role]}
        return self._client.post("/users", {**body, "display_name": display_name})

    def set_password(self, user_id: str, password: str) -> None:
        self._client.put(f"/users/{user_id}/password", {"password": password})

    def remove(self, user_id: str) -> None:
        self._client.delete(f"/users/{user_id}")


def _password(options: argparse.Namespace) -> str:
    """One line of standard input, or typed twice at the terminal; never an argument."""
    if options.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Fault("Nobody can be asked for the password here; pass it with --password-stdin.")
    first = getpass.getpass("Password (at least 12 characters): ")
    if first != getpass.getpass("Once more: "):
        raise Fault("The two passwords differ; nothing was changed.")
    return first


def _by_name(users: list[Document], name: str) -> Document:
    found = [user for user in users if text(user["name"]) == name.casefold()]
    if not found:
        raise Fault(f"There is no user {name!r}; `penstock user list` shows all.")
    return found[0]


def _say_users(users: list[Document], *, is_json: bool) -> None:
    if is_json:
        say_json(users)
        return
    lines = [
        (
            text(user["name"]),
            text(user["display_name"]),
            ", ".join(map(text, items(user["roles"]))),
            text(user["created"])[:10],
        )
        for user in users
    ]
    say_table(("NAME", "DISPLAY NAME", "ROLES", "SINCE"), lines)


def _say(options: argparse.Namespace, user: Document, sentence: str) -> int:
    if options.json:
        say_json(user)
    else:
        print(sentence)
    return EXIT_OK
