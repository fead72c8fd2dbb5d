"""Interpreters to run Sidegate and the plain aiohttp proxy with.

Each gets an environment of its own, made once from the lock beside the benchmark's own. Those of
other releases of Debian, the container image's among them, are brought there by `.ci/python`. The
image's has the compiled wheel, as the image does; the others have the sources.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
DOCKERFILE: Final = ROOT / "Dockerfile"
VERSIONS: Final = ((3, 11), (3, 15))
"""The first that will do, and the first that won't."""
NEWEST: Final = "sid"
"""The release of Debian whose Python is looked at beside the image's."""

_FACTS: Final = """\
import json, sys
print(json.dumps({"version": sys.version_info[:3], "base": sys._base_executable}))
"""
_SYSTEM: Final = Path("/usr/bin")
_UV: Final = str(Path(sys.executable).with_name("uv"))


@dataclass(frozen=True, slots=True)
class Interpreter:
    """program: its path. version: as 3.11.7."""

    program: str
    version: str

    @property
    def name(self) -> str:
        """As the tables show it: a distribution's own is built otherwise than most."""
        *root, usr, folder, _ = Path(self.program).parts
        facts = _release(Path(*root)) if (usr, folder) == ("usr", "bin") else {}
        if not facts:
            return self.version
        # Debian's next release has no number yet, but two names: forky/sid.
        number = facts.get("VERSION_ID") or facts["PRETTY_NAME"].rpartition("/")[2]
        return f"{self.version} of {facts['NAME'].partition(' ')[0]} {number}"

    def environment(self) -> str:
        """The interpreter of an environment with Sidegate and what it needs, made if there is none.

        Raises RuntimeError, with what the installer said, where that fails.
        """
        return self._made("", LOCK.read_bytes(), self._install_in_place)

    def compiled(self) -> str:
        """The same, with the compiled wheel, built anew when the sources have changed.

        Raises RuntimeError, with what the compiler said.
        """
        return self._made("-compiled", sources(), self._install_compiled)

    def _made(self, suffix: str, state: bytes, install: Callable[[Path], None]) -> str:
        folder = _beside() / (self.name.replace(" ", "-") + suffix)
        python = folder / "bin" / "python"
        done = folder / "installed"
        if done.exists() and done.read_bytes() == state:
            return str(python)
        print(f"Installing into an environment of Python {self.name}", flush=True)
        _run(_UV, "venv", "--quiet", "--clear", "--python", self.program, str(folder))
        _install(python, "--require-hashes", "--requirement", str(LOCK))
        install(folder)
        done.write_bytes(state)
        return str(python)

    def _install_in_place(self, folder: Path) -> None:
        # Sidegate asks what version of it is installed.
        _install(folder / "bin" / "python", "--no-deps", "--editable", str(ROOT))

    def _install_compiled(self, folder: Path) -> None:
        print("Compiling Sidegate for it, which takes a minute or so", flush=True)
        compiler, wheels = f"{folder}-by", folder / "wheels"
        _run(str(ROOT / ".ci" / "wheel"), "compiled", self.program, compiler, str(wheels))
        _install(folder / "bin" / "python", "--no-deps", *map(str, wheels.glob("*.whl")))


def sources() -> bytes:
    """A digest of all that goes into the compiled wheel and its environment."""
    names = ("pyproject.toml", "requirements-compile.lock", ".ci/compile.py", ".ci/wheel")
    files = [LOCK, *(ROOT / name for name in names), *sorted((ROOT / "proxy").rglob("*.py"))]
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return whole.hexdigest().encode()


def found() -> list[Interpreter]:
    """The benchmark's own, those on the PATH, the system's, those that pyenv has built, and
    those of the releases of Debian."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    folders += [_SYSTEM, *sorted(pyenv.glob("versions/*/bin"))]
    names = [f"python3.{minor}" for minor in range(VERSIONS[0][1], VERSIONS[1][1])]
    paths = [folder / name for folder in folders for name in names]
    for suite in (suite_of_the_image(), NEWEST):
        try:
            paths.append(of_debian(suite))
        except RuntimeError as failure:
            print(f"Debian's {suite} is left out: {failure}")
    return described([sys.executable, *(str(path) for path in paths if os.access(path, os.X_OK))])


def suite_of_the_image() -> str:
    """The release of Debian that the Dockerfile begins with."""
    named = re.search(r"^ARG BASE=.*/debian:([a-z]+)-slim$", DOCKERFILE.read_text(), re.MULTILINE)
    assert named is not None
    return named[1]


def of_debian(suite: str) -> Path:
    """The Python of this release: the machine's, if it is of that, or one that is brought beside
    it and stays.

    Raises RuntimeError, with what was said, where it can't be brought.
    """
    if _release(Path("/")).get("VERSION_CODENAME") == suite:
        return _SYSTEM / "python3"
    folder = _beside() / "debian" / suite
    if not (folder / "brought").exists():
        print(f"Bringing the Python of Debian's {suite}", flush=True)
        _run(str(ROOT / ".ci" / "python"), suite, str(folder))
    return folder / "usr" / "bin" / "python3"


def of_the_image(bring: Callable[[str], Path] = of_debian) -> tuple[str, str]:
    """What runs in the container image: its name, and the interpreter of its environment, which
    has the compiled wheel.

    Where that can't be had, the machine's own, or else the benchmark's with the sources, which is
    told. bring: finds the Python of a suite, and raises RuntimeError where there is none.
    """
    try:
        program = bring(suite_of_the_image())
    except RuntimeError as failure:
        print(f"Not measuring with the Python of the container image: {failure}", flush=True)
        program = _SYSTEM / "python3"
    there = [str(program)] if os.access(program, os.X_OK) else []
    for interpreter, python in environments(described(there), Interpreter.compiled):
        return interpreter.name, python
    return platform.python_version(), sys.executable


def _beside() -> Path:
    """Where the benchmark keeps the interpreters that it measures."""
    return Path(sys.prefix) / "bench"


def _release(root: Path) -> dict[str, str]:
    """What a distribution says of itself; nothing where there is none."""
    try:
        words = shlex.split((root / "usr/lib/os-release").read_text(encoding="utf-8"))
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)


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


def _install(python: Path, *arguments: str) -> None:
    _run(_UV, "pip", "install", "--quiet", "--python", str(python), *arguments)


def _run(*command: str) -> None:
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = f"{done.stdout.strip()}\n{done.stderr.strip()}"
        raise RuntimeError(f"{' '.join(command[:3])}: {said[-2000:].strip()}")


def environments(
    interpreters: Iterable[Interpreter],
    make: Callable[[Interpreter], str] = Interpreter.environment,
) -> Iterator[tuple[Interpreter, str]]:
    """Each with the interpreter of its environment; those are left out, with a line, that
    nothing can be installed for."""
    for interpreter in interpreters:
        try:
            yield interpreter, make(interpreter)
        except RuntimeError as failure:
            print(f"Python {interpreter.name}: left out: {failure}")
