"""``riskml status``: where a threat stands, in the words of the person who has to answer for it.

In come a recipe and its run folder; out come one sentence, a line a stage and nothing written. It never redoes a stage
and reads the data only if a file has changed since it was last read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from riskml.cli import words
from riskml.cli.console import seconds
from riskml.cli.journey import STAGES, check_ledger, standing
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.cli.journey import Journey, Standing


def show_status(journey: Journey) -> int:
    """Print it; always 0, whatever the verdict was.

    Raises:
        DataError: the ledger of looks was altered.
    """
    check_ledger(journey)
    console, recipe = journey.console, journey.recipe
    stands = {name: standing(journey, stage) for name, stage in STAGES.items()}
    _spread(stands)
    day = _day(journey)
    sentence = _sentence(journey, stands)
    holder = journey.folder.holder()
    console.document(
        {
            "schema": "riskml.status/1",
            "threat": recipe.threat.name,
            "day": day,
            "sentence": sentence,
            "running": holder,
            "stages": {
                name: {
                    "standing": stand.word,
                    "reason": stand.reason,
                    "seconds": stand.record.seconds if stand.record else None,
                    "peak_rss_mb": stand.record.peak_rss_mb if stand.record else None,
                }
                for name, stand in stands.items()
            },
            "verdicts": dict(words.verdicts(journey.facts("backtest"))) if stands["backtest"].record else {},
        }
    )
    when = f"day {day}" if day is not None else recipe.threat.name
    console.answer(f"{when}: {sentence}")
    for name, stand in stands.items():
        took = f" ({seconds(stand.record.seconds)})" if stand.record else ""
        console.answer(f"{name}: {stand.word}{took}" + (f": {stand.reason}" if stand.reason else ""))
    if holder is not None:
        console.say(f"process {holder} is working in {journey.folder.root}")
    if any(stand.word != "fresh" for stand in stands.values()):
        console.say(f"next: riskml run {journey.shown}")
    return 0


def _spread(stands: dict[str, Standing]) -> None:
    """A stage that feeds on a stale one is stale, though its own record still fits."""
    for name, stage in STAGES.items():
        for feed in stage.feeds:
            if stands[feed].word != "fresh" and stands[name].word == "fresh":
                stands[name] = type(stands[name])("stale", f"`{feed}` is {stands[feed].word}", stands[name].record)


def _day(journey: Journey) -> int | None:
    opened = journey.recipe.threat.opened_at
    return None if opened is None else max(0, (journey.as_of - opened) // DAY)


def _sentence(journey: Journey, stands: Mapping[str, Standing]) -> str:
    """ "shadow ready; ADD passed; REPLACE waits for 120 releases, about 9 days" """
    parts = []
    if stands["package"].record is not None:
        facts = json.loads((journey.folder.stage("package") / "facts.json").read_text(encoding="utf-8"))
        parts.append(f"{facts['stage']} ready" + (" by override" if facts.get("override") else ""))
    elif stands["train"].record is not None:
        parts.append("a model is trained, no release yet")
    else:
        parts.append("no model yet")
    if stands["backtest"].record is not None:
        for name, verdict in words.verdicts(journey.facts("backtest")).items():
            parts.append(_verdict(name.upper(), verdict))
    stale = [name for name, stand in stands.items() if stand.word == "stale"]
    if stale:
        parts.append(f"stale: {', '.join(stale)}")
    return "; ".join(parts)


def _verdict(name: str, verdict: Mapping[str, object]) -> str:
    word = str(verdict.get("word"))
    if word == "PASS":
        return f"{name} passed"
    if word == "FAIL":
        return f"{name} failed"
    settle = verdict.get("settle")
    text = settle.get("text") if isinstance(settle, Mapping) else None
    return f"{name} waits for {text}" if text else f"{name} is inconclusive"
