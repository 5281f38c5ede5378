"""The HTTP contract as a document, without a node: `python -m penstock.node.openapi`.

A route stores what it is given and uses it only when it is asked; so the
application can be built from parts that are not there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from penstock.node.core.routes import build_app
from penstock.server.app import PREFIX, accesses
from penstock.server.contract import openapi_document

if TYPE_CHECKING:
    from penstock.node.core.core import Core

Route = tuple[str, str, str, str]
# Routes that no OpenAPI document holds: itself, and a WebSocket.
SENTENCES = {"/openapi.json": "This contract, as OpenAPI 3.1.", "/live": "The live socket."}


class _Absent:
    """Every attribute of it is itself, down to any depth."""

    def __getattr__(self, name: str) -> _Absent:
        return self


def document() -> dict[str, object]:
    """OpenAPI 3.1 of all routes."""
    app = build_app(cast("Core", _Absent()))
    return openapi_document(app, accesses(app))


def routes() -> list[Route]:
    """Method, path below the prefix, permission and what it does, of every route."""
    app = build_app(cast("Core", _Absent()))
    document = openapi_document(app, accesses(app))
    paths = cast("dict[str, dict[str, dict[str, str]]]", document["paths"])
    found = []
    for path, methods, access in accesses(app):
        assert access is not None
        short = path.removeprefix(PREFIX)
        for method in methods - {"HEAD"}:
            told = paths.get(path, {}).get(method.lower(), {}).get("description", "")
            sentence = " ".join(told.split("\n\n")[0].split()) or SENTENCES[short]
            found.append((method, short, access.permission, sentence))
    return sorted(found, key=lambda route: (route[1], route[0]))


def main() -> int:
    """Write the document to the file that is named, else to standard output."""
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if sys.argv[1:]:
        Path(sys.argv[1]).write_text(text, "utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
