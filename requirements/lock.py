"""Resolve all dependencies anew: .venv/bin/python requirements/lock.py [--upgrade] [--npm].

Locks carry hashes and name no registry, so that every installation may use its own mirror.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "web"
COMPILE = [
    *("uv", "pip", "compile", "--quiet", "--no-config", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-annotate"),
    *("--no-emit-index-url", "--no-emit-find-links"),
]
SOURCES = {
    "uv.txt": ["requirements/uv.in"],
    "default.txt": ["pyproject.toml", "requirements/build.in"],
    "test.txt": [
        "pyproject.toml",
        "requirements/build.in",
        "requirements/test.in",
        "-c",
        "requirements/default.txt",
    ],
}


def main(arguments: list[str]) -> None:
    """Python first; the web app's packages only when asked for."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    upgrade = ["--upgrade"] if "--upgrade" in arguments else []
    for name, sources in SOURCES.items():
        command = [*COMPILE, *upgrade, *sources, "-o", f"requirements/{name}"]
        subprocess.run(command, cwd=ROOT, check=True)
    if "--npm" in arguments:
        verb = "update" if upgrade else "install"
        npm = ["npm", verb, "--package-lock-only", "--ignore-scripts", "--no-audit"]
        subprocess.run(npm, cwd=WEB, check=True)
    strip_addresses(WEB / "package-lock.json")


def strip_addresses(path: Path) -> None:
    """Funding links and registry addresses have no place in a lock."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for entry in data["packages"].values():
        entry.pop("funding", None)
        entry.pop("resolved", None)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
