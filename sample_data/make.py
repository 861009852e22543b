"""Write the committed sample worlds: in goes nothing, out come the Parquet files of this folder and their fingerprint.

Run `python sample_data/make.py` after a change of the simulator; unchanged code rewrites the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from riskml.data.world import simulate, write_world

HERE = Path(__file__).parent
FOLDER = HERE / "account_takeover"
FINGERPRINT = HERE / "fingerprint.json"


def fingerprint(paths: list[Path]) -> dict[str, str]:
    """SHA-256 of each file, by its path relative to this folder."""
    return {str(path.relative_to(HERE)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def main() -> None:
    """Simulate the default world and write it here."""
    paths = write_world(simulate("control_1pct", seed=7), FOLDER, HERE)
    FINGERPRINT.write_text(json.dumps(fingerprint(paths), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
