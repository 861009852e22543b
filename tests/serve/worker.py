"""A process that decides on what it reads from its input, one JSON message a line, and says so once it is in the log.

Run as ``python -m tests.serve.worker STORE [LOG]``: STORE is a folder, or the URL of a Valkey server with a name after
``#``.
"""

from __future__ import annotations

import json
import os
import sys

from riskml.serve.decider import Decider
from riskml.serve.journal import Journal
from riskml.serve.store import Store
from tests.serve.rich import rich_release


def open_store(where: str) -> Store:
    """The store an argument names."""
    if "://" not in where:
        return Journal(where, sync="never")
    from riskml.serve.valkey import Valkey

    url, _, name = where.partition("#")
    return Valkey(url, name)


def main() -> None:
    """Answer until the input ends or somebody kills the process."""
    decider = Decider(rich_release(), open_store(sys.argv[1]))
    for line in sys.stdin:
        number, arrival, source, row = json.loads(line)
        told: object = None
        if source == "decide":
            answer = decider.decide(row, arrival)
            told = [answer.features, answer.decision.margin, answer.arrival]
        elif source == "snapshot":
            decider.snapshot()
        else:
            decider.observe(source, row, arrival)
        os.write(1, json.dumps([number, told]).encode() + b"\n")
    decider.close()


if __name__ == "__main__":
    main()
