"""The audit of the locks finds what it is to find, and doesn't pass what it can't read."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

CI = Path(__file__).parents[2] / ".ci"


def audit(folder: Path, *locks: str) -> tuple[int, str]:
    """Exit code and output for locks with these lines."""
    files = []
    for number, text in enumerate(locks):
        file = folder / f"{number}.lock"
        file.write_text(text)
        files.append(str(file))
    command = [sys.executable, str(CI / "audit"), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_sound_lock_passes_and_says_how_much_it_held(tmp_path: Path) -> None:
    code, told = audit(
        tmp_path, "aiohttp==3.14.5 \\\n    --hash=sha256:0\nh11==0.16.0\n", "h11==0.16.0"
    )
    assert code == 0
    assert told.startswith("2 pinned packages, none with a vulnerability known on 20")


@pytest.mark.parametrize(
    ("line", "advisory"),
    [
        ("aiohttp==3.10.10", "CVE-2024-52304"),
        ("PyYAML==5.3", "CVE-2020-14343"),
        ("h11==0.14.0 ; python_version < '3.14'", "CVE-2025-43859"),
        ("uvicorn[standard]==0.11.0", "CVE-2020-7694"),
        ("urllib3==2.2.0", "CVE-2024-37891"),
    ],
)
def test_a_vulnerable_pin_is_named(tmp_path: Path, line: str, advisory: str) -> None:
    code, told = audit(tmp_path, f"idna==3.10\n{line}\n")
    assert code == 1
    assert advisory in told
    assert "idna" not in told


def test_a_lock_without_pins_is_no_sound_one(tmp_path: Path) -> None:
    code, told = audit(tmp_path, "aiohttp>=3\n")
    assert code == 1
    assert "no pin can be read" in told


def test_what_is_known_can_be_read() -> None:
    known = tomllib.loads((CI / "advisories.toml").read_text(encoding="utf-8"))
    known.pop("reviewed")
    assert len(known) > 20
    for name, rows in known.items():
        assert name == name.lower()
        for affected, advisories in rows.items():
            assert SpecifierSet(affected)
            assert all(row.startswith("CVE-") for row in advisories)
