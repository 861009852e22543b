"""The two commands that need a release and no recipe: ``verify`` and ``score``.

In come a ``.riskml`` file and, to score, a table of events with their feature values; out come the proof or the
decisions. Heavy libraries load only to read a table; the release scores by itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.cli.console import Console
from riskml.errors import DataError, ExitCode, UsageError, near_matches

if TYPE_CHECKING:
    import pandas as pd


def verify_release(console: Console, path: Path) -> int:
    """Check every byte and re-score the golden vectors; 0 whole, 1 altered."""
    from riskml.release.verify import verify

    _exists(path, "release")
    result = verify(path)
    console.document(
        {
            "schema": "riskml.verify/1",
            "release": str(path),
            "ok": result.ok,
            "problems": list(result.problems),
            "facts": result.facts,
        }
    )
    if result.ok:
        console.answer(f"OK: {path.name} is whole and scores as it did when built (integrity only, no signature)")
        return int(ExitCode.OK)
    for problem in result.problems:
        console.annotate("error", str(problem))
    console.answer(f"ALTERED: {path.name}: " + "; ".join(str(problem) for problem in result.problems))
    return int(ExitCode.NO)


def score_table(console: Console, release: Path, events: Path, out: Path | None) -> int:
    """Score each row; CSV to stdout, one JSON document with ``--json``, or a file with ``--out``."""
    from riskml.release.load import load

    _exists(release, "release")
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise UsageError(f"--out {out}: neither .csv nor .parquet", "name the file with one of the two endings")
    loaded = load(release)
    scored = loaded.score_table(_read(events))
    alerts = int((scored["action"] == "alert").sum())
    if out is not None:
        _write(scored, out)
    if console.style.json:
        rows = [] if out is not None else scored.to_dict("records")
        document = {"schema": "riskml.score/1", "rows": len(scored), "alerts": alerts, "decisions": rows}
        console.document(document | ({"out": str(out)} if out is not None else {}))
    elif out is None:
        console.raw(scored.to_csv(index=False))
    else:
        console.answer(str(out))
    console.say(f"scored {len(scored):,} events, {alerts:,} alerts")
    return int(ExitCode.OK)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    _exists(path, "table")
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"cannot read {path}: {reason}", "score reads .parquet and .csv") from error
    if frame.empty:
        raise DataError(f"{path} has no rows", "nothing to score")
    return frame


def _write(frame: pd.DataFrame, path: Path) -> None:
    """Write through a temporary sibling; ``path`` is either old or whole."""
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent}", "make it first")
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.suffix == ".csv":
            frame.to_csv(fresh, index=False)
        else:
            frame.to_parquet(fresh, index=False)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _exists(path: Path, what: str) -> None:
    if path.is_file():
        return
    folder = path.parent if path.parent.is_dir() else Path()
    near = near_matches(path.name, [p.name for p in folder.iterdir() if p.is_file()])
    raise UsageError(f"no {what} at {path}", near or "check the path")
