"""The web app's files: hashed ones for ever, the page for every route, nothing else of the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from running import ANY_PORT, Running, running

from penstock.server.settings import ServerSettings

SETTINGS = ServerSettings(http=ANY_PORT, https=None)
ASSET = "/assets/index-B3L7eTYJ.js"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / ".vite").mkdir()
    (folder / "index.html").write_text("<!doctype html><p>page")
    (folder / ASSET[1:]).write_text("let x")
    (folder / "icon.svg").write_text("<svg/>")
    (folder / ".stamp").write_text("build-1")
    (folder / ".vite" / "manifest.json").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


@pytest.fixture
async def site(tmp_path: Path, static: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, SETTINGS, static=static) as found:
        yield found


async def get(server: Running, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(server.url + path, headers=headers)


async def test_hashed_files_are_kept_for_ever(site: Running) -> None:
    answer = await get(site, ASSET)

    assert answer.text == "let x"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/", "/setup", "/points/some/deep/path"])
async def test_routes_of_the_web_app_are_the_page(site: Running, path: str) -> None:
    answer = await get(site, path)

    assert answer.text == "<!doctype html><p>page"
    assert answer.headers["cache-control"] == "no-cache"


async def test_known_file_is_not_sent_twice(site: Running) -> None:
    etag = (await get(site, "/")).headers["etag"]

    again = await get(site, "/", **{"if-none-match": etag})

    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/missing-B3L7eTYJ.js",
        "/.stamp",
        "/.vite/manifest.json",
        "/link.txt",
        "/..%2f..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2f..%2fsecret.txt",
        "/api/v1",
        "/api/other",
    ],
)
async def test_nothing_else_of_the_disk(site: Running, path: str) -> None:
    answer = await get(site, path)

    assert "secret" not in answer.text
    assert answer.status_code in {200, 404}
    assert answer.status_code == 404 or answer.text == "<!doctype html><p>page"


@pytest.mark.parametrize("path", ["/assets/", "/assets"])
async def test_no_folder_is_listed(site: Running, path: str) -> None:
    assert "index-" not in (await get(site, path)).text


async def test_page_takes_no_post(site: Running) -> None:
    async with httpx.AsyncClient() as client:
        assert (await client.post(site.url + "/")).status_code == 405


async def test_new_build_is_served_without_a_restart(site: Running, static: Path) -> None:
    before = (await get(site, "/api/v1/session")).json()["ui_build"]
    (static / "index.html").write_text("<!doctype html><p>new page")
    (static / ".stamp").write_text("build-2 is longer")

    after = (await get(site, "/api/v1/session")).json()["ui_build"]

    assert (before, after) == ("build-1", "build-2 is longer")
    assert (await get(site, "/")).text == "<!doctype html><p>new page"


async def test_page_that_was_not_built_says_so(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    async with running(tmp_path, SETTINGS, static=empty) as server:
        answer = await get(server, "/")

    assert answer.status_code == 503
    assert "./dev setup" in answer.text
