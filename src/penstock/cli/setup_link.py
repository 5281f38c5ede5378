"""`penstock setup-link`: a new one-time link; the one before is void from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from penstock.cli.client import Client
from penstock.cli.document import document, text
from penstock.cli.outcome import EXIT_OK, Fault
from penstock.cli.output import say_json

if TYPE_CHECKING:
    import argparse

    from penstock.node.home import Home


def run(options: argparse.Namespace) -> int:
    """Print the link; refused once there is a user."""
    home: Home = options.home
    token = text(Client(home).post("/setup-token")["token"])
    http = text(document(json.loads(home.ports_file.read_text("utf-8")))["http"])
    if not http:
        raise Fault("The set-up needs plain HTTP on this machine; set server.http and start again.")
    link = f"http://{http}/setup#token={token}"
    if options.json:
        say_json({"setup_link": link})
    else:
        print(link)
    return EXIT_OK
