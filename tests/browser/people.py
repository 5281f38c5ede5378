"""`python people.py HOME`: puts the people of the tests into a home before its first start.

`cell` may view one area only; nothing but this script can grant a subtree so far.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from pathlib import Path

from penstock.cli import stored_users
from penstock.node.home import Home
from penstock.node.prepare import prepare
from penstock.security import local_principal
from penstock.security.principal import RoleGrant

PASSWORD = "correct horse battery"
ROLES = ("administrator", "engineer", "operator", "viewer", "auditor")
CELL = "cell"
CELL_PATH = "Rig/Cell"


def main() -> int:
    home = Home(Path(sys.argv[1]))
    answer, code = prepare(home)
    assert 0 == code, answer
    with stored_users._open_security(home) as security:
        asyncio.run(_add(security))
    return 0


async def _add(security) -> None:
    who = local_principal("test")
    for role in ROLES:
        await security.add_user(who, role, role.capitalize(), PASSWORD, (role,))
    user = await security.add_user(who, CELL, "Cell", PASSWORD, ("operator",))
    narrowed = dataclasses.replace(user, grants=(RoleGrant("operator", CELL_PATH),))
    security._state.write_blocking(lambda c: security._users.replace(c, narrowed))


if __name__ == "__main__":
    sys.exit(main())
