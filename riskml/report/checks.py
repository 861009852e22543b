"""The checks a backtest holds, one sentence each: both verdicts, then what they lean on.

In go the facts of a backtest; out come frozen checks, each PASS, FAIL or INCONCLUSIVE. JUnit and GitHub annotations
show them. Nothing is judged anew: a check reads its word from the facts, and what the facts lack is no check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from riskml.evidence.backtest.replace import VOLUME_LIMIT
from riskml.evidence.backtest.rival import spoken
from riskml.evidence.backtest.verdict import FAIL, INCONCLUSIVE, PASS
from riskml.evidence.backtest.words import percent, signed, span, times
from riskml.report.facts import interval

__all__ = ["Check", "checks"]


@dataclass(frozen=True)
class Check:
    """One check: its name, its word and why."""

    name: str
    word: str
    text: str


def checks(facts: Mapping[str, Any]) -> tuple[Check, ...]:
    """Every check the facts hold, the question asked first."""
    asked = str(facts["question"])
    other = "add" if asked == "replace" else "replace"
    said = str(facts["rival"]["noun"])
    leaned_on = (replace(check, text=spoken(check.text, said)) for check in _leaned_on(facts))
    return (_verdict(facts[asked]), _verdict(facts[other]), *leaned_on)


def _verdict(body: Mapping[str, Any]) -> Check:
    why = "; ".join(body["reasons"])
    settle = body.get("settle", {}).get("text", "")
    text = f"{why}; settled by {settle}" if settle and body["word"] == INCONCLUSIVE else why
    return Check(str(body["question"]).upper(), str(body["word"]), text)


def _leaned_on(facts: Mapping[str, Any]) -> Iterator[Check]:
    yield _volume(facts)
    yield _insults(facts)
    yield _maturity(facts)
    yield from _sources(facts)
    yield from _segments(facts)


def _volume(facts: Mapping[str, Any]) -> Check:
    """Void only where the whole interval lies above the limit; fewer alerts never are."""
    found = interval(facts["replace"]["numbers"]["volume"])
    word = INCONCLUSIVE if found.low > VOLUME_LIMIT else PASS
    return Check("volume match", word, f"the model raises {span(found, times)} alerts for each of the rule's")


def _insults(facts: Mapping[str, Any]) -> Check:
    """The guardrail of REPLACE: no more good customers alerted on than by the rule, but for the declared margin."""
    found, word = interval(facts["replace"]["numbers"]["insults"]), str(facts["replace"]["word"])
    if word != PASS:
        word = FAIL if word == FAIL and found.low > 0 else PASS if found.high <= 0 else INCONCLUSIVE
    return Check("insults", word, f"insults, model minus rule: {signed(found)} ({found.mark})")


def _maturity(facts: Mapping[str, Any]) -> Check:
    """Open while days of the window asked for are still too young."""
    counts, wait = facts["counts"], facts.get("ready")
    if wait is not None:
        have = f"{wait['days']:.3g} of {wait['wished']:g} days of test are matured"
        return Check("maturity", INCONCLUSIVE, f"{have}; all of them will be on {str(wait['full'])[:10]}")
    text = f"{counts['eligible']:,} matured decisions over {counts['days']:.0f} days"
    return Check("maturity", PASS if counts["eligible"] else INCONCLUSIVE, text)


def _sources(facts: Mapping[str, Any]) -> Iterator[Check]:
    """Labels that follow one side's alerts leave every verdict open."""
    for item in facts.get("sources") or ():
        name = f"reports {item['name']}".strip()
        said = f"of {item['frauds']:,} frauds {percent(item['on_model'])} lie on the model's alerts, "
        said += f"{percent(item['on_rule'])} on the rule's"
        yield Check(name, INCONCLUSIVE if item["follows"] else PASS, said)


def _segments(facts: Mapping[str, Any]) -> Iterator[Check]:
    """The guardrails of every segment, for the question asked: too few cases are no leave to pass."""
    asked = str(facts["question"])
    for item in facts.get("segments") or ():
        guard, name = item[asked], f"segment {item['segment']}={item['value']}"
        if guard["breached"]:
            yield Check(name, FAIL, f"guardrail breached: {', '.join(guard['breached'])}")
        elif item["missing"]:
            yield Check(name, INCONCLUSIVE, f"not assessable: {'; '.join(item['missing'])}")
        else:
            yield Check(name, PASS, "recall and insult rate are within the guardrails, or not shown to be outside")
