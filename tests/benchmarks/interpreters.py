"""Interpreters to run Sidegate and the plain aiohttp proxy with.

Each gets an environment of its own, made once from the lock beside the benchmark's own.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
VERSIONS: Final = ((3, 11), (3, 15))
"""The first that will do, and the first that won't."""

_FACTS: Final = """\
import json, sys
print(json.dumps({"version": sys.version_info[:3], "base": sys._base_executable}))
"""
_SYSTEM: Final = Path("/usr/bin")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """program: its path. version: as 3.11.7."""

    program: str
    version: str

    @property
    def name(self) -> str:
        """As the tables show it: the system's own are built otherwise than most."""
        own = Path(self.program).parent == _SYSTEM
        return f"{self.version} of the system" if own else self.version

    def environment(self) -> str:
        """The interpreter of an environment with Sidegate and what it needs, made if there is none.

        Raises RuntimeError, with what the installer said, where that fails.
        """
        folder = Path(sys.prefix) / "bench" / self.name.replace(" ", "-")
        python = folder / "bin" / "python"
        done = folder / "installed"
        if done.exists() and done.read_bytes() == LOCK.read_bytes():
            return str(python)
        print(f"Installing into an environment of Python {self.name}", flush=True)
        uv = str(Path(sys.executable).with_name("uv"))
        _run(uv, "venv", "--quiet", "--clear", "--python", self.program, str(folder))
        install = (uv, "pip", "install", "--quiet", "--python", str(python))
        _run(*install, "--require-hashes", "--requirement", str(LOCK))
        # In place: Sidegate asks what version of it is installed.
        _run(*install, "--no-deps", "--editable", str(ROOT))
        done.write_bytes(LOCK.read_bytes())
        return str(python)


def found() -> list[Interpreter]:
    """The benchmark's own, those on the PATH, the system's, and those that pyenv has built."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += [_SYSTEM, *sorted(pyenv.glob("versions/*/bin"))]
    names = [f"python3.{minor}" for minor in range(VERSIONS[0][1], VERSIONS[1][1])]
    paths = [str(folder / name) for folder in folders for name in names]
    return described([sys.executable, *(path for path in paths if os.access(path, os.X_OK))])


def of_the_image(program: Path = _SYSTEM / "python3") -> tuple[str, str]:
    """What runs in the container image, Debian's own: its name, and the interpreter of its
    environment. The benchmark's own where there is none, or none that will do.
    """
    there = [str(program)] if os.access(program, os.X_OK) else []
    for interpreter, python in environments(described(there)):
        return interpreter.name, python
    return platform.python_version(), sys.executable


def described(programs: Iterable[str]) -> list[Interpreter]:
    """What these say of themselves; each once, without those that don't run or won't do."""
    return list({one.program: one for one in map(_described, programs) if one}.values())


def _described(program: str) -> Interpreter | None:
    done = subprocess.run([program, "-c", _FACTS], capture_output=True, text=True, check=False)
    try:
        facts = json.loads(done.stdout)
    except ValueError:
        return None
    if not VERSIONS[0] <= tuple(facts["version"]) < VERSIONS[1]:
        return None
    base = str(Path(facts["base"]).resolve())
    return Interpreter(base, ".".join(map(str, facts["version"])))


def _run(*command: str) -> None:
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])}: {done.stderr.strip()}")


def environments(interpreters: Iterable[Interpreter]) -> Iterator[tuple[Interpreter, str]]:
    """Each with the interpreter of its environment; those are left out, with a line, that
    nothing can be installed for."""
    for interpreter in interpreters:
        try:
            yield interpreter, interpreter.environment()
        except RuntimeError as failure:
            print(f"Python {interpreter.name}: left out: {failure}")
