"""``riskml parity``: what a decision log says the features were, beside what the local engine makes of the same events.

In come a log and a recipe; out come one line, a document, and a line per feature that differs. Exits with 1 where any
value does. Refuses what ``riskml.serve.parity`` refuses, and times it cannot read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.cli.console import Console
from riskml.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from riskml.serve.parity import Difference, Parity

__all__ = ["compare_log"]

_SHOWN = 20  # features; the document of --json has all


def compare_log(console: Console, log: str, recipe: Path, overrides: Sequence[str], since: str | None) -> int:
    """Replay the log and say whether every value is the same; 0 if so, 1 if not."""
    from riskml.recipe.parse import load_recipe
    from riskml.serve.parity import log_records, parity

    parsed = load_recipe(recipe, overrides)
    with console.progress("parity") as progress:
        found = parity(log_records(log), parsed, since=_instant(since), progress=progress)
    console.document(found.to_dict())
    _notes(console, found)
    told = f"{found.compared:,} decisions, {found.names} features, {found.values:,} values"
    if found.ok:
        console.answer(f"EQUAL: {told}, every one to the bit")
        return int(ExitCode.OK)
    differing = sum(item.mismatch for item in found.features)
    missing, extra = sum(item.missing for item in found.features), sum(item.extra for item in found.features)
    console.answer(f"DIFFERENT: {differing:,} mismatches, {missing:,} missing, {extra:,} extra in {told}")
    for item in found.features[:_SHOWN]:
        console.answer(f"  {item.feature}: {_words(item)}")
    if len(found.features) > _SHOWN:
        console.answer(f"  and {len(found.features) - _SHOWN} more features; --json has all of them")
    return int(ExitCode.NO)


def _notes(console: Console, found: Parity) -> None:
    """What the log holds beside the decisions that were compared."""
    counts = found.counts
    notes = {
        "late": "decisions on events that came late",
        "duplicates": "rows that had come before, left out",
        "other_plan": "decisions under another plan, not compared",
        "unanswered": "events of which nothing that was said is kept, not compared",
        "other_kinds": "records of scores without a past, left out",
        "orphans": "labels and changes of events that the log does not hold, left out",
    }
    for name, words in notes.items():
        if counts[name]:
            console.say(f"{counts[name]:,} {words}")
    if counts["clocks"]:
        console.answer(f"{counts['clocks']:,} decisions were logged with another time than their event has")


def _words(item: Difference) -> str:
    """One feature's differences in a line."""
    parts = []
    if item.mismatch:
        late = f" ({item.late:,} of them late)" if item.late else ""
        parts.append(f"{item.mismatch:,} mismatches{late}")
    parts += [f"{count:,} {word}" for count, word in ((item.missing, "missing"), (item.extra, "extra")) if count]
    if item.example is not None:
        who = "" if item.example.event_id is None else f" at {item.example.event_id}"
        parts.append(f"first{who}: logged {_shown(item.example.logged)}, computed {_shown(item.example.computed)}")
    return ", ".join(parts)


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)


def _instant(text: str | None) -> int | None:
    """Microseconds UTC of ``--since``."""
    if text is None:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--since `{text}` is no time", "write 2026-10-05 or 2026-10-05T09:00:00Z") from None
    zoned = told if told.tzinfo is not None else told.replace(tzinfo=UTC)
    return int(zoned.timestamp()) * 1_000_000 + zoned.microsecond
