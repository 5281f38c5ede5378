"""The web app's files. What is not a file and not the API is the page itself (its router decides).

Only files that the build made are known: the list is read once and again when
the build's stamp changes, so a request can name no path on the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse, Response

from penstock.model import Refused
from penstock.server.asgi import header, refuse
from penstock.server.problems import problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

FILES_MAX = 2_000
FILE_BYTES_MAX = 16 * 1024 * 1024
API_PREFIX = "/api/"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

# Vite puts a hash of the content into these names, so they never change.
_HASHED = re.compile(r"/assets/[^/]+-[A-Za-z0-9_-]{8}\.[a-z0-9.]+\Z")
_NOT_BUILT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Penstock</title></head>
<body><h1>The web app was not built</h1>
<p>The server runs, and its API answers below /api/v1. To build the pages, run
<code>./dev setup</code> in the source folder, then reload this page.</p></body></html>
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One known file."""

    path: Path
    media_type: str
    etag: str
    cache_control: str


class StaticFiles:
    """An ASGI app for everything that no route answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, StaticFile] = {}
        self._stamp: tuple[int, int] | None = None
        self._build = ""
        self._refresh()

    @property
    def ui_build(self) -> str:
        """Content of `.stamp`; a page from another build knows by it that it is old."""
        self._refresh()
        return self._build

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A file, the page, or the refusal."""
        if scope["type"] != "http" or scope["path"].startswith(API_PREFIX):
            await refuse(Refused("not_found"), scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await refuse(Refused("method_not_allowed"), scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._refresh()
        path: str = scope["path"]
        file = self._files.get(path)
        if file is None and not _is_page(path):
            await refuse(Refused("not_found"), scope, receive, send)
            return
        file = file or self._files.get("/index.html")
        response = _not_built() if file is None else await _answer(file, scope)
        await response(scope, receive, send)

    def _refresh(self) -> None:
        """Read the folder again when the build's stamp is another one."""
        stamp = _stat(self._folder / ".stamp") or _stat(self._folder / "index.html")
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self._files = _known_files(self._folder)
        stamp_file = self._folder / ".stamp"
        has_stamp = stamp_file.is_file()
        self._build = stamp_file.read_text(encoding="utf-8").strip() if has_stamp else ""


def _known_files(folder: Path) -> dict[str, StaticFile]:
    """Files by URL path: no hidden ones, no links, nothing outside the folder."""
    found: dict[str, StaticFile] = {}
    if not (folder / "index.html").is_file():
        return found
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in relative.parts)
        if is_hidden or path.is_symlink() or not path.is_file():
            continue
        assert len(found) < FILES_MAX
        assert path.stat().st_size <= FILE_BYTES_MAX
        url = f"/{relative.as_posix()}"
        found[url] = _known(path, url)
    return found


def _known(path: Path, url: str) -> StaticFile:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = media_type.startswith("text/") or media_type == "application/javascript"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    return StaticFile(
        path,
        f"{media_type}; charset=utf-8" if is_text else media_type,
        f'"{digest}"',
        IMMUTABLE if _HASHED.search(url) else REVALIDATE,
    )


async def _answer(file: StaticFile, scope: Scope) -> Response:
    headers = {"etag": file.etag, "cache-control": file.cache_control}
    wanted = {tag.strip().removeprefix("W/") for tag in header(scope, b"if-none-match").split(",")}
    if file.etag in wanted:
        return Response(status_code=304, headers=headers)
    try:
        content = await asyncio.to_thread(file.path.read_bytes)
    except FileNotFoundError:  # A build is replacing the files right now.
        return problem(Refused("not_found"))
    return Response(content, headers=headers, media_type=file.media_type)


def _not_built() -> Response:
    return HTMLResponse(_NOT_BUILT, status_code=503, headers={"cache-control": "no-store"})


def _is_page(path: str) -> bool:
    """A path of the web app's router has no file ending in its last part."""
    return "." not in path.rsplit("/", 1)[-1]


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
