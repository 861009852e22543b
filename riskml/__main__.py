"""``riskml`` and ``python -m riskml``: hands the command line over and leaves with its exit code."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """The console script."""
    from riskml.cli.app import main as run

    sys.exit(run())


if __name__ == "__main__":
    main()
