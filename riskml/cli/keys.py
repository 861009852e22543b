"""``riskml keys new``: a pair of keys to sign releases with.

In go a folder and a name; out come two files that did not exist before, and what to do with each.
"""

from __future__ import annotations

from pathlib import Path

from riskml.cli.console import Console
from riskml.errors import ExitCode

__all__ = ["make_keys"]


def make_keys(console: Console, folder: Path, name: str) -> int:
    """Make ``NAME.key`` and ``NAME.pub`` in ``folder``; 0 when both are there."""
    from riskml.release.sign import new_keys

    made = new_keys(folder, name)
    facts = {"private": str(made.private), "public": str(made.public), "fingerprint": made.fingerprint}
    console.document({"schema": "riskml.keys/1", **facts})
    console.answer(f"{made.public}: {made.fingerprint}")
    console.say(f"private: {made.private}; whoever has it can sign as you: keep it secret and out of Git")
    console.say(f"next: riskml package RECIPE --sign {made.private}, then riskml verify RELEASE --trust {made.public}")
    return int(ExitCode.OK)
