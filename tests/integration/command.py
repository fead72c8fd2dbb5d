"""Sidegate's commands in this process, which spares each the time that loading it all takes."""

from __future__ import annotations

import contextlib
import io

from proxy.cli import main


def command(*arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and output, errors among it, with these variables and no others."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = main(arguments, environ)
    return code, output.getvalue()
