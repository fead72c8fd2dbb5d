"""`python -m proxy`, and the installed command `sidegate`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line of this process and return its exit code."""
    _open_missing()
    # Probes run this one every few seconds, so it loads no more than it needs.
    if sys.argv[1:2] == ["health"]:
        from proxy.commands.health import main as run_command
    else:
        from proxy.cli import main as run_command
    try:
        code = run_command()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _open_missing() -> None:
    """Have all three standard streams: whoever starts this may have closed some, and then the
    first sockets would take their numbers, on which others write what they have to say."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest that is free, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())
