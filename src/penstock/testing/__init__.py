"""Fakes and check kits, shipped as public API; no product module imports them."""

from penstock.testing.clock import FakeClock
from penstock.testing.frames import frame

__all__ = ["FakeClock", "frame"]
