"""Write the committed sample worlds: in goes nothing, out come the Parquet files of this folder and their fingerprint.

Run `python sample_data/make.py` after a change of a simulator; unchanged code rewrites the same bytes. Names of threats
as arguments limit it to those; without any, each world that has a folder here is written.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from riskml.data.worlds import WORLDS, make_world
from riskml.data.worlds.write import write_world

HERE = Path(__file__).parent
FINGERPRINT = HERE / "fingerprint.json"


def fingerprint(paths: list[Path]) -> dict[str, str]:
    """SHA-256 of each file, by its path relative to this folder."""
    return {str(path.relative_to(HERE)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def main(threats: list[str]) -> None:
    """Simulate the default world of each threat and write it here."""
    known = json.loads(FINGERPRINT.read_text()) if FINGERPRINT.is_file() else {}
    for threat in threats or [name for name in WORLDS if (HERE / name).is_dir()]:
        paths = write_world(make_world(threat), HERE / threat, HERE / f"{threat}_truth.parquet")
        known |= fingerprint(paths)
    FINGERPRINT.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
