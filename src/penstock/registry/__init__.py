"""The asset tree, the points with their handles, and what became of removed ones.

Files say what is desired; here lies who a thing is: UUIDs and handles that
outlive every rename.
"""

from penstock.registry.registry import Registry
from penstock.registry.snapshot import Snapshot

__all__ = ["Registry", "Snapshot"]
