"""Fakes and check kits, shipped as public API; no product module imports them."""

from penstock.testing.clock import FakeClock
from penstock.testing.connector_check import check_connector
from penstock.testing.disk import FakeDisk, PowerCut
from penstock.testing.frames import frame
from penstock.testing.proxy import FaultProxy

__all__ = ["FakeClock", "FakeDisk", "FaultProxy", "PowerCut", "check_connector", "frame"]
