"""``riskml rule suggest``: candidate rules on the terminal, as JSON, and as TOML for a recipe or for ``--vs-rule``.

In come a journey and what was asked on the command line; out come lines, a document and, if wanted, a rule file written
whole or not at all. Nothing of the run folder changes. Refuses times without a meaning, and features that are stale.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.cli.console import Console, seconds
from riskml.errors import ExitCode, StaleError, UsageError

if TYPE_CHECKING:
    from riskml.cli.journey import Journey
    from riskml.evidence.suggest import Ask, Candidate, Suggestion
    from riskml.evidence.suggest.measure import Measured
    from riskml.evidence.suggest.proportion import Share
    from riskml.features.table import FeatureTable

__all__ = ["Wish", "suggest_rules", "toml"]

DAY = 86_400_000_000


@dataclass(frozen=True)
class Wish:
    """The options as typed; None where one was left out."""

    as_of: str | None = None
    days: int | None = None
    since: str | None = None
    share: float = 0.6
    alerts: float | None = None
    most: int = 5
    seed: int = 7
    features: bool = False
    out: Path | None = None
    pick: int = 1


def suggest_rules(journey: Journey, wish: Wish) -> int:
    """Search, show, and write what was asked for; 1 where no rule is worth showing."""
    import time

    from riskml.evidence.suggest import suggest

    if wish.as_of is not None and wish.days is not None:
        raise UsageError("--as-of and --days both say what is known", "give one of them")
    if wish.out is not None and wish.pick > wish.most:
        raise UsageError(f"--pick {wish.pick} is beyond --most {wish.most}", "pick one of those shown")
    table = _features(journey) if wish.features else None
    ask, began = _ask(journey, wish), time.monotonic()
    found = suggest(journey.recipe, journey.tables, journey.log, journey.incumbent, table, ask)
    journey.console.detail(
        f"rule suggest: {found.conditions} conditions on {found.terms} terms in {seconds(time.monotonic() - began)}"
    )
    if wish.out is not None:
        _write(wish.out, found, wish.pick)
    _show(journey.console, found, wish)
    return int(ExitCode.OK if found.candidates else ExitCode.NO)


def _features(journey: Journey) -> FeatureTable:
    """The table of the run.

    Raises:
        StaleError: it is missing or stale.
    """
    from riskml.cli.journey import STAGES, standing

    found = standing(journey, STAGES["features"])
    if found.word != "fresh":
        why = "has not been run" if found.word == "missing" else f"is stale: {found.reason}"
        raise StaleError(f"--features needs `features`, which {why}", f"riskml features {journey.shown}")
    return journey.table


def _ask(journey: Journey, wish: Wish) -> Ask:
    from riskml.evidence.suggest import Ask

    as_of = None if wish.as_of is None else _instant("--as-of", wish.as_of)
    if wish.days is not None:
        opened = journey.recipe.threat.opened_at
        as_of = (int(journey.tables.events.time.min()) if opened is None else opened) + wish.days * DAY
    since = None if wish.since is None else _instant("--since", wish.since)
    level = journey.recipe.backtest.confidence
    return Ask(as_of, since, wish.share, wish.alerts, wish.most, confidence=level, seed=wish.seed)


def _instant(option: str, text: str) -> int:
    """Microseconds of a day (its start in UTC) or of a time with a zone.

    Raises:
        UsageError: it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} `{text}` is not a time", "write 2026-10-05 or 2026-10-05T09:00:00Z") from None
    if found.tzinfo is None and text != date.isoformat(found.date()):
        raise UsageError(f"{option} `{text}` has no time zone", "end it with Z for UTC, or with an offset")
    moment = found if found.tzinfo else found.replace(tzinfo=UTC)
    gap = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def toml(found: Suggestion, candidate: Candidate) -> str:
    """The candidate as ``[[rule.version]]``, in force from the instant it was found at."""
    from riskml.data.split import iso

    text = f"[[rule.version]]\nwhen = {json.dumps(candidate.when, ensure_ascii=False)}\nfrom = {iso(found.as_of)}\n"
    if not candidate.reads_features:
        return text
    head = "# reads features of the run, which a rule over the events' own columns cannot\n"
    return head + "".join(f"# {line}\n" for line in text.splitlines())


def _write(path: Path, found: Suggestion, pick: int) -> None:
    """The picked candidate as a rule file, whole or not at all.

    Raises:
        UsageError: there is no such candidate, or it reads features.
    """
    if pick > len(found.candidates):
        hint = "pick one of those shown" if found.candidates else "a greater --alerts would help"
        raise UsageError(f"there is no candidate {pick}, so {path} was not written", hint)
    if found.candidates[pick - 1].reads_features:
        message = f"candidate {pick} reads features of the run, which a rule file cannot"
        raise UsageError(message, "pick another one, or leave --features out")
    if not path.parent.is_dir():
        raise UsageError(f"no folder {path.parent}", "make it first, or name another --out")
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".tmp", delete=False, encoding="utf-8") as file:
        file.write(toml(found, found.candidates[pick - 1]))
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def _show(console: Console, found: Suggestion, wish: Wish) -> None:
    facts = found.to_dict()
    listed = [
        {**one, "toml": toml(found, candidate)}
        for one, candidate in zip(_listed(facts["candidates"]), found.candidates, strict=True)
    ]
    console.document(facts | {"candidates": listed})
    console.say(_rests(found))
    for line in _table(found):
        console.answer(line)
    for note in found.notes:
        console.say(f"note: {note}")
    if not found.candidates:
        return
    shown = found.candidates[wish.pick - 1 if wish.pick <= len(found.candidates) else 0]
    console.answer("")
    console.answer(toml(found, shown).rstrip("\n"))
    if wish.out is not None:
        console.say(f"rule: {wish.out}")


def _listed(value: object) -> list[dict[str, object]]:
    return list(value) if isinstance(value, list) else []


def _rests(found: Suggestion) -> str:
    """What was searched and what is shown, in one sentence."""
    from riskml.data.split import iso

    said = {"asked": "as asked", "recipe": "the recipe's", "rule": "the rule's", "frauds": "three a known fraud"}
    early, late = found.earlier, found.later
    return (
        f"found on {iso(early.start)[:10]} to {iso(early.end)[:10]} ({int((early.fraud == 1).sum()):,} known frauds "
        f"in {len(early.rows):,} events), shown on {iso(late.start)[:10]} to {iso(late.end)[:10]} "
        f"({int((late.fraud == 1).sum()):,} in {len(late.rows):,}); "
        f"budget {found.per_day:,.1f} alerts a day, {said[found.source]}"
    )


def _table(found: Suggestion) -> list[str]:
    """One row a candidate: what it did on the later days, intervals in brackets, the rule at the end."""
    head = ["#", "alerts/day", "precision", "recall", "value", "beyond the rule", "null rows (frauds)", "rule"]
    rows = [[str(at), *_row(one.shown), one.when] for at, one in enumerate(found.candidates, start=1)]
    if not found.later.fired.any():
        head, rows = head[:5] + head[6:], [row[:5] + row[6:] for row in rows]
    if not rows:
        return ["no rule found"]
    wide = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head) - 1)]
    return [
        "  ".join([*(cell.ljust(size) for cell, size in zip(row, wide, strict=False)), row[-1]])
        for row in [head, *rows]
    ]


def _row(shown: Measured) -> list[str]:
    from riskml.evidence.backtest.words import percent

    beyond = f"{shown.beyond_rule:,} alerts, {percent(shown.beyond_precision.estimate)} fraud"
    nulls = f"{shown.null_rows:,} ({shown.null_frauds:,})"
    shares = [_share(shown.precision), _share(shown.recall), _share(shown.value_recall)]
    return [f"{shown.alerts_per_day:,.1f}", *shares, beyond, nulls]


def _share(share: Share) -> str:
    from riskml.evidence.backtest.words import percent

    if share.estimate != share.estimate:
        return "unknown"
    low, high = percent(share.low), percent(share.high)
    return f"{percent(share.estimate)} ({low.removesuffix(' %')} to {high})"
