"""What the verdict rests on, as short sentences for the page: what counts, how old, how linked, how lopsided.

In go the facts of a backtest; out come sentences. A fact that is absent is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from riskml.evidence.backtest.control_words import lines
from riskml.evidence.backtest.examples import FILE as EXAMPLES
from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.verdict import INCONCLUSIVE
from riskml.evidence.backtest.words import percent, signed
from riskml.report.answers import level
from riskml.report.facts import interval
from riskml.report.segments import small, worst
from riskml.report.tables import between

__all__ = ["grounds", "planned", "sensitivities", "weakest"]


def grounds(facts: Mapping[str, Any], noun: str) -> list[str]:
    """What counts, how old it is, what became of the rule's alerts, how frauds hang together, and looks so far."""
    said = [*_matured(facts), *_before(facts), *_looks(facts)]
    if facts["counts"]["eligible"]:
        said = [_counted(facts), *_matured(facts), *_stopped(facts), _clusters(facts), *_before(facts), *_looks(facts)]
    return _spoken(said, noun)


def weakest(facts: Mapping[str, Any], noun: str) -> list[str]:
    """Where the model does worst: a week, a segment."""
    return _spoken([*_worst(facts), worst(facts, noun), small(facts)], noun)


def _spoken(lines: Iterable[str], noun: str) -> list[str]:
    said = [line for line in lines if line]
    spoke = [line if line.startswith("The rule of the log") else spoken(line, noun) for line in said]
    return [line[:1].upper() + line[1:].rstrip(".") + "." for line in spoke]


def sensitivities(facts: Mapping[str, Any], noun: str) -> list[str]:
    """The sentences of the annex: the same differences read in other ways."""
    said = []
    if facts["without_largest"] is not None:
        value = signed(interval(facts["without_largest"]["value"]))
        said.append(f"Without the largest campaign: fraud money caught {value}, model less rule.")
    said.append(f"Redrawing whole days: fraud money caught {signed(interval(facts['day_blocks']['value']))}.")
    if facts["net_value"] is not None:
        net = interval(facts["net_value"]["difference"])
        said.append(f"Net value by the declared costs: {signed(net)} ({net.mark}).")
    if facts["rule"]["agreement"] is not None:
        said.append(f"The rule's text agrees with its log on {percent(facts['rule']['agreement'])} of decisions.")
    ways = ", by ".join(facts["evidence"]["ways"])
    said.append(
        f"Intervals hold {level(facts)} of the time; both sides are redrawn together, in whole clusters by {ways}."
    )
    rank = facts["ranking"]
    if rank["roc_auc"] is not None:
        said.append(
            f"The score alone, on seen outcomes: area under the ROC curve {rank['roc_auc']:.3f}, "
            f"average precision {rank['average_precision']:.3f}."
        )
    points = facts["points"]
    held = f"{points['replace']:.4f} in place of the rule"
    held += "" if points["add"] is None else f", {points['add']:.4f} beside it"
    said.append(f"Frozen thresholds (raw margin of the model): {held}.")
    said.append(
        f"Some decisions of each row of the first table, with the model's reasons, lie in {EXAMPLES} of the run."
    )
    return [spoken(line, noun) for line in said]


def planned(facts: Mapping[str, Any]) -> list[str]:
    """What releases would settle, by the plan beside the page; nothing where none are needed."""
    plan = facts.get("plan")
    if not plan or not plan["needed"] or facts["replace"]["word"] != INCONCLUSIVE:
        return []
    first, last = (line.removeprefix("control plan: ").strip() for line in (lines(plan)[0], lines(plan)[-1]))
    return [f"A release plan lies beside this page (control_plan.md): {first} {last}"]


def _counted(facts: Mapping[str, Any]) -> str:
    counts = facts["counts"]
    out = {
        "on an allow list": counts["bypassed"],
        "under other controls": counts["other_control"],
        "before the rule was written": counts["before_rule"],
    }
    left = ", ".join(f"{many:,} {why}" for why, many in out.items() if many)
    line = f"{counts['eligible']:,} decisions in {counts['units']:,} episodes count"
    return f"{line}; left out: {left}." if left else f"{line}."


def _matured(facts: Mapping[str, Any]) -> Iterator[str]:
    young, read = facts["immature"], facts.get("early") or {"events": 0, "known": 0}
    events, frauds = young["events"] + read["events"], young["frauds"] + read["known"]
    found = facts.get("maturity")
    if found is not None:
        yield str(found["reason"])
    yield f"Younger decisions wait: {events:,}, of which {frauds:,} known to be fraud already."


def _stopped(facts: Mapping[str, Any]) -> Iterator[str]:
    """What became of the alerts of the log's rule, and how far releases speak for the incumbent's own."""
    rule, held = facts["rule"], facts.get("support")
    who = "The rule" if facts["rival"]["kind"] == "rule" else "The rule of the log"
    if not rule["enforced"]:
        yield f"{who} fired on {rule['fired']:,} decisions and stopped none of them."
        return
    yield f"{who} fired on {rule['fired']:,} decisions; {rule['released']:,} let through, the rest stopped."
    if held is None or not held["alerts"]:
        return
    alone = str(facts["rival"]["noun"]).split()[0].capitalize()
    line = f"{alone}-only alerts: {held['alerts']:,} episodes, of which {held['told']:,} have a known outcome"
    if 0 < held["effective"] < 0.9 * held["seen"]:
        line += f" (chances differ, so they are worth {held['effective']:.0f})"
    if held["gap_alerts"]:
        shares = f"{percent(held['gap_alerts'])}, with {percent(held['gap_value'])} of the money"
        line += f"; no chance of being let through: {shares}"
    yield f"{line}."


def _before(facts: Mapping[str, Any]) -> Iterator[str]:
    """Days on which nothing was stopped yet."""
    found = facts.get("pre_rule")
    if not found:
        return
    if not found["assessable"] or found["evidence"] is None:
        why = str(found["why"]).removeprefix("Not assessable: ")
        yield f"Days before the rule was written are no help: {why[:1].lower()}{why[1:]}"
        return
    value = signed(interval(found["evidence"]["value"]))
    yield f"On days before the rule was written: fraud money caught {value}, model less rule. It decides nothing."


def _clusters(facts: Mapping[str, Any]) -> str:
    found = facts["evidence"]
    line = f"The known frauds are worth {found['clusters']:.0f} independent clusters"
    if facts["without_largest"] is None:
        return f"{line}."
    return f"{line}; the largest campaign holds {percent(facts['largest_share'])} of them."


def _worst(facts: Mapping[str, Any]) -> Iterator[str]:
    week = facts["worst_week"]
    if week:
        found = f"fraud money caught {between(week, 'value')}, good customers alerted on {between(week, 'insults')}"
        yield f"Worst week, from {str(week['start'])[:10]}, model less rule: {found}."


def _looks(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts.get("looks")
    if found is not None and found.get("words"):
        yield str(found["words"])
