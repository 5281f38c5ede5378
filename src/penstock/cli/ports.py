"""`penstock ports`: what core wrote into ports.json once everything listened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from penstock.cli.client import is_running, not_running
from penstock.cli.document import document, text
from penstock.cli.outcome import EXIT_OK
from penstock.cli.output import say_json, say_table

if TYPE_CHECKING:
    import argparse

    from penstock.node.home import Home


def run(options: argparse.Namespace) -> int:
    """A file left by a crash is not believed: the server has to answer."""
    home: Home = options.home
    if not is_running(home) or not home.ports_file.is_file():
        raise not_running(home)
    ports = document(json.loads(home.ports_file.read_text("utf-8")))
    if options.json:
        say_json(ports)
    else:
        lines = [[name, text(address) or "off"] for name, address in ports.items()]
        say_table(("listener", "address"), lines)
    return EXIT_OK
