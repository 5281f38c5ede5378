"""A running Penstock for the client, asked over its Unix socket."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from product import Product

from penstock.client import Client
from penstock.client.place import socket_folder

WAIT_S_MAX = 60.0


@pytest.fixture(scope="session")
def plant(product: Product) -> Iterator[Client]:
    """The client of its owner; pumps have run for some seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", product.environment["XDG_RUNTIME_DIR"])
        assert socket_folder(product.home).is_dir()
        client = Client(home=product.home)
    with client:
        until = time.monotonic() + WAIT_S_MAX
        while not is_running(client):
            assert time.monotonic() < until, "no pump has ten samples"
            time.sleep(0.2)
        yield client


def is_running(client: Client) -> bool:
    """Core knows its points only after its first apply."""
    points = client.points()
    speeds = [point for point in points if point.path.endswith("P-101/speed")]
    return bool(speeds) and len(client.history(speeds, "1h")) > 10
