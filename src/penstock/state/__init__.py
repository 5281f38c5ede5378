"""Relational state of a node: one database, one writer, many short readers.

Samples never come here; users, sessions, registry, audit and the projections of
the log do. Each capability brings its own tables, this package brings the door.
"""

from penstock.state.database import DEFAULT_TENANT, State
from penstock.state.engine import damage_of
from penstock.state.patience import patiently
from penstock.state.readers import ReaderPosition, ReaderStore
from penstock.state.revision import head_revision, needs_migration

__all__ = [
    "DEFAULT_TENANT",
    "ReaderPosition",
    "ReaderStore",
    "State",
    "damage_of",
    "head_revision",
    "needs_migration",
    "patiently",
]
