"""The container image, step by step, without an engine; `make image` builds and runs it whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.integration.client import ask, request
from tests.integration.origins import OK, RawOrigin, answering
from tests.integration.ports import free_port
from tests.integration.process import ROOT, Process

DOCKERFILE: Final = (ROOT / "Dockerfile").read_text(encoding="utf-8")
UV: Final = Path(sys.executable).with_name("uv")
# Of the packages, whichever Python they are for; Debian's part of the image is another 44 MB, and
# 120 are allowed.
LARGEST: Final = 75_500_000


def instructions(name: str) -> list[str]:
    """What the final stage says under this name, on one line each."""
    stage = DOCKERFILE.replace("\\\n", " ").rpartition("\nFROM ")[2]
    return re.findall(rf"^{name} +(.*)$", stage, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_promises() -> None:
    assert instructions("USER") == ["65532:65532"], (
        "a number, so that Kubernetes knows it isn't root"
    )
    assert instructions("ENTRYPOINT") == ['["/opt/sidegate/bin/sidegate"]']
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["/opt/sidegate/bin/sidegate", "health"]')
    assert not instructions("RUN"), "there is no shell to run anything"
    [labels] = instructions("LABEL")
    for label in ("version", "revision", "licenses", "base.name"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert 'sidegate.sbom.path="/opt/sidegate/sbom.cdx.json"' in labels


def test_what_the_build_copies_is_let_through() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert f"!{source}" in allowed
        assert (ROOT / source).exists()


def interpreter() -> str:
    """The system's Python, if it is one that Sidegate runs on and can be compiled for: that of the
    tests may stand in somebody's home, where nobody else gets to. In the image it is that of
    Debian 13."""
    wanted = (
        "import os, sys, sysconfig; sys.exit(not (3, 11) <= sys.version_info < (3, 15) "
        "or not os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    )
    system = "/usr/bin/python3"
    with contextlib.suppress(OSError):
        if subprocess.run([system, "-c", wanted], check=False).returncode == 0:
            return system
    return sys.executable


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user gets to; pytest keeps its own to whoever runs it."""
    with tempfile.TemporaryDirectory(prefix="sidegate-image-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """An environment as the build makes it: the locked packages, and Sidegate's compiled wheel."""
    with public_folder() as folder:
        yield made(folder)


def made(folder: Path) -> Path:
    environment = folder / "opt"
    python = environment / "bin" / "python"

    def uv(*arguments: str | Path) -> None:
        # Copies, since what others have of the same files must stay as it is.
        environ = {**os.environ, "UV_LINK_MODE": "copy"}
        subprocess.run([UV, *map(str, arguments)], check=True, capture_output=True, env=environ)

    install = ("pip", "install", "--python", python)
    uv("venv", "--python", interpreter(), environment)
    uv(*install, "--require-hashes", "--requirement", ROOT / "requirements.lock")
    compiler = Path(sys.prefix, "compile-image")
    subprocess.run(
        [ROOT / ".ci" / "wheel", "compiled", interpreter(), compiler, folder],
        check=True, capture_output=True,
        env={
            **os.environ,
            "PATH": f"{UV.parent}{os.pathsep}{os.environ['PATH']}",
            "SIDEGATE_COMPILE_LEVEL": "1",
        },
    )  # fmt: skip
    uv(*install, "--no-deps", *folder.glob("*.whl"))
    subprocess.run([ROOT / ".ci" / "slim", environment], check=True, capture_output=True)
    return environment


def inventory(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and the time of its last change."""
    stats = {str(path): path.lstat() for path in folder.rglob("*")}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in stats.items()}


def test_what_is_left_is_small(root: Path) -> None:
    files = inventory(root)
    assert sum(size for size, _ in files.values()) < LARGEST
    assert not [name for name in files if name.endswith((".pyx", ".pyi", ".proto", "/pip"))]


def test_what_a_request_passes_through_is_compiled(root: Path) -> None:
    done = subprocess.run(
        [root / "bin" / "sidegate", "--version"], capture_output=True, text=True, check=True
    )
    assert "compiled by mypyc" in done.stdout


def test_what_is_imported_where_it_is_configured_is_there(root: Path) -> None:
    exporters = "opentelemetry.exporter.otlp.proto"
    modules = [f"{exporters}.{kind}.trace_exporter" for kind in ("grpc", "http")]
    modules += ["jsonschema_rs", "dns.asyncresolver", "hiredis", "re2"]
    subprocess.run([root / "bin" / "python", "-c", f"import {', '.join(modules)}"], check=True)


def test_the_list_of_parts_is_complete(root: Path, tmp_path: Path) -> None:
    package = tmp_path / "var" / "lib" / "dpkg" / "status.d"
    package.mkdir(parents=True)
    (package / "libc6").write_text(
        "Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\nDescription: C\n library: x\n"
    )
    done = subprocess.run(
        [ROOT / ".ci" / "sbom", root / "bin" / "python", tmp_path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    bom = json.loads(done.stdout)
    assert bom["bomFormat"] == "CycloneDX"
    purls = {part["purl"].split("@")[0] for part in bom["components"]}
    locked = re.findall(
        r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / "requirements.lock").read_text(), re.M
    )
    here = {f"pkg:pypi/{name}" for name in locked} - purls
    # Locked for other platforms or versions of Python.
    assert here <= {
        "pkg:pypi/colorama",
        "pkg:pypi/typing-extensions",
        "pkg:pypi/importlib-metadata",
    }
    assert {"pkg:pypi/sidegate", "pkg:deb/debian/libc6"} <= purls


async def test_it_runs_as_nobody_in_particular_and_writes_nothing(root: Path) -> None:
    """With a user that owns nothing, in a tree that it can't write to, without a home."""
    before = sealed(root)
    with public_folder() as folder:
        await serve_as_nobody(root, folder)
    assert inventory(root) == before


async def serve_as_nobody(root: Path, folder: Path) -> None:
    file = folder / "sidegate.yaml"
    shutil.copy(ROOT / "config" / "container.yaml", file)
    listen, admin = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    async with RawOrigin(answering(OK)) as origin:
        running = Process(
            file,
            folder / "sidegate.log",
            command=[sys.executable, "-c", _AS_NOBODY, str(root / "bin" / "sidegate")],
            environ={
                "SIDEGATE_UPSTREAM": origin.url,
                "SIDEGATE_SERVER__LISTEN": listen,
                "SIDEGATE_ADMIN__LISTEN": admin,
                "SIDEGATE_SERVER__WORKERS": "2",
                "HOME": "/nonexistent",
            },
        )
        try:
            assert (await ask(listen, request())).status == 200
            assert os.stat(f"/proc/{running.pid}").st_uid != 0
            health = await asyncio.create_subprocess_exec(
                root / "bin" / "sidegate", "health", "--admin", admin
            )
            assert await health.wait() == 0
        finally:
            running.kill()


def sealed(folder: Path) -> dict[str, tuple[int, int]]:
    """Its inventory, now that nothing in it can be written to."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o555)
    return inventory(folder)


# Root becomes somebody else; whoever isn't root is that already.
_AS_NOBODY: Final = """
import os, sys
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65532)
    os.setuid(65532)
os.chdir("/")
os.execv(sys.argv[1], sys.argv[1:])
"""
