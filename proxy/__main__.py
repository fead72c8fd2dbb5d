"""`python -m proxy`, and the installed command `sidegate`."""

from __future__ import annotations

import os
import sys

from proxy.cli import main as run_command


def main() -> int:
    """Run the command line of this process and return its exit code."""
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


if __name__ == "__main__":
    sys.exit(main())
