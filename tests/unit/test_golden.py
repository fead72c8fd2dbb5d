"""Files of tests/golden: a configuration, commands, and what they print.

A case is one file. The configuration ends at the first line that begins with `--- `; such
a line holds a command (`check`, or `explain` with a request), with variables of the
environment before it, and what follows up to the next one is all that it prints. A case
may name `secret.txt`, which holds `hunter22`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from proxy.cli import main

FOLDER = Path(__file__).parents[1] / "golden"
FILE = "sidegate.yaml"


def read_case(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """The configuration, and each command with its output."""
    config, *blocks = ("\n" + path.read_text()).split("\n--- ")
    commands = []
    for block in blocks:
        command, _, output = block.partition("\n")
        commands.append((command, output.rstrip("\n") + "\n"))
    return config.removeprefix("\n") + "\n", commands


def run(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints on both of its outputs."""
    words = shlex.split(command)
    environ = {}
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    main([words[0], FILE, *words[1:]], environ)
    printed = capsys.readouterr()
    return printed.out + printed.err


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, commands = read_case(path)
    (tmp_path / FILE).write_text(config)
    (tmp_path / "secret.txt").write_text("hunter22\n")
    monkeypatch.chdir(tmp_path)
    assert commands
    for command, output in commands:
        assert run(command, capsys) == output, command
