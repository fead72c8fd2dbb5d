"""sqlmap, run against an address: what it finds."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_FOUND: Final = re.compile(r"^Parameter: (\S+) \((\S+)\)", re.MULTILINE)
_TYPE: Final = re.compile(r"^ +Type: (.+)$", re.MULTILINE)
_REFUSED: Final = re.compile(r"^\d+ \(.*\) - (\d+) times", re.MULTILINE)


class Findings:
    """What one run told. parameters: that can be injected. kinds: by which techniques."""

    def __init__(self, output: str) -> None:
        self.output = output
        self.parameters = sorted({name for name, _ in _FOUND.findall(output)})
        self.kinds = sorted(set(_TYPE.findall(output)))

    @property
    def finished(self) -> bool:
        """It came to a verdict, whatever that is."""
        return bool(self.parameters) or "do not appear to be injectable" in self.output


async def sqlmap(
    url: str, *options: str, seconds: float = 500, data: str | None = None
) -> Findings:
    """Run it on the parameters of a URL, or of a body."""
    command: Sequence[str] = (
        str(Path(sys.executable).with_name("sqlmap")),
        "--batch", "--disable-coloring", "--flush-session", "--dbms=sqlite", "-v1",
        "--threads=4", "--timeout=60", "--retries=0", f"--url={url}", *options,
    )  # fmt: skip
    if data is not None:
        command = (*command, f"--data={data}")
    with tempfile.TemporaryDirectory() as home:
        process = await asyncio.create_subprocess_exec(
            *command,
            f"--output-dir={home}/out",
            env={"HOME": home, "PATH": "/usr/bin:/bin", "XDG_DATA_HOME": home},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), seconds)
        except BaseException:
            process.kill()
            await process.wait()
            raise
    return Findings(output.decode("utf-8", "replace"))
