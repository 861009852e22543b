"""The commands that need a release and no recipe: ``verify``, ``score`` and ``warm``.

In come a ``.riskml`` file and, to score, a table of events with their feature values; out come the proof or the
decisions. Heavy libraries load only to read a table; the release scores by itself.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from riskml.cli.console import Console
from riskml.errors import ExitCode, UsageError, near_matches

_SMALLEST = """tree
num_class=1
num_tree_per_iteration=1
max_feature_idx=0
objective=binary

Tree=0
num_leaves=2
num_cat=0
split_feature=0
threshold=0.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=0 1
leaf_count=1 1
internal_count=2

end of trees
"""


def verify_release(console: Console, path: Path, trust: Path | None = None) -> int:
    """Check every byte, the signature and the golden vectors; 0 whole, 1 altered or not signed by who is trusted."""
    from riskml.release.verify import verify

    _exists(path, "release")
    result = verify(path, trust)
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
        console.answer(f"OK: {path.name} is whole and scores as it did when built ({_standing(result.facts)})")
        return int(ExitCode.OK)
    for problem in result.problems:
        console.annotate("error", str(problem))
    word = "NOT TRUSTED" if result.untrusted else "ALTERED"
    console.answer(f"{word}: {path.name}: " + "; ".join(str(problem) for problem in result.problems))
    return int(ExitCode.NO)


def _standing(facts: Mapping[str, object]) -> str:
    """Who stands behind a whole release."""
    signature, override = str(facts["signature"]), facts["override"]
    if not signature.startswith("signed"):
        words = "integrity only, no signature"
    else:
        words = signature if facts["trusted"] else f"{signature}; --trust PUB checks whose key that is"
    if isinstance(override, Mapping):
        words += f"; stage {facts['stage']} by override, the verdicts allow {override['allowed']}: {override['reason']}"
    return words


def score_events(console: Console, release: Path, events: Path, out: Path | None, trust: Path | None = None) -> int:
    """Score each row: into ``out``, or as CSV on stdout, or as one JSON document; in bounded memory except for JSON."""
    from riskml.release.load import load
    from riskml.release.table import score_file

    _exists(release, "release")
    _exists(events, "table")
    if out is not None and not out.parent.is_dir():
        raise UsageError(f"no folder {out.parent}", "make it first")
    loaded = load(release, trust)
    with tempfile.TemporaryDirectory(prefix="riskml-") as folder, console.progress("score") as progress:
        target = out or Path(folder) / "scores.csv"
        rows, alerts = score_file(loaded, events, target, progress=lambda done: progress("rows", done, 0))
        facts = {"schema": "riskml.score/1", "release": loaded.id, "rows": rows, "alerts": alerts}
        if out is not None:
            console.document(facts | {"out": str(out)})
            console.answer(str(out))
        elif console.style.json:
            console.document(facts | {"decisions": _rows(target, loaded.scorer.inputs.event_id)})
        else:
            with target.open(encoding="utf-8", newline="") as file:
                for block in iter(lambda: file.read(1 << 20), ""):
                    console.raw(block)
    raised = " by override" if loaded.override else ""
    console.say(f"scored {rows:,} events with {loaded.id}, {alerts:,} alerts, stage {loaded.stage}{raised}")
    return int(ExitCode.OK)


def warm_release(console: Console, release: Path | None, trust: Path | None = None) -> int:
    """Have the machine code of scoring ready, for a release or for any; says where it is kept for other processes."""
    from riskml.features.compiled import cache_folder
    from riskml.learning.trees import Forest
    from riskml.release.load import load

    begun = time.monotonic()
    if release is None:
        Forest.flatten((_SMALLEST,)).warm()
    else:
        _exists(release, "release")
        load(release, trust).warm()
    folder, seconds = cache_folder(), time.monotonic() - begun
    console.document(
        {
            "schema": "riskml.warm/1",
            "release": None if release is None else str(release),
            "kept": None if folder is None else str(folder),
            "seconds": round(seconds, 3),
        }
    )
    where = "nowhere: set XDG_CACHE_HOME to a folder you can write" if folder is None else f"in {folder}"
    console.answer(f"machine code for scoring is ready after {seconds:.1f} s, kept {where}")
    return int(ExitCode.OK)


def _rows(path: Path, event: str | None) -> list[dict[str, object]]:
    """The scores as plain rows; ids keep every character."""
    import pyarrow as pa
    from pyarrow import csv

    from riskml.features.plan import ID_COLUMN

    ids = {event or ID_COLUMN: pa.string()}
    options = csv.ConvertOptions(column_types=ids, null_values=[""], strings_can_be_null=True)
    rows: list[dict[str, object]] = csv.read_csv(path, convert_options=options).to_pylist()
    return rows


def _exists(path: Path, what: str) -> None:
    if path.is_file() or (what == "table" and any(path.glob("*.parquet"))):
        return
    folder = path.parent if path.parent.is_dir() else Path()
    near = near_matches(path.name, [p.name for p in folder.iterdir() if p.is_file()])
    raise UsageError(f"no {what} at {path}", near or "check the path")
