"""From the first days of a threat to candidate rules: found on the earlier days, measured on the later ones.

In go the recipe, its tables, labels, the incumbent and what was asked; out comes a frozen ``Suggestion`` of at most
``Ask.most`` candidates, best first by the fraud value caught within the alert budget on the earlier days, less a small
price of the alerts it takes (``search.PRICE``). No candidate, threshold or rank depends on the later days: they only
show what the candidates do there. What a candidate's text says is what was counted: it is parsed and evaluated as any
rule is. Refuses days with too few known frauds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from riskml.data.split import iso
from riskml.evidence.suggest.conditions import Condition, conditions
from riskml.evidence.suggest.days import Days, Part, read_days
from riskml.evidence.suggest.measure import Measured, measure
from riskml.evidence.suggest.search import Found, Goal, diverse, search
from riskml.evidence.suggest.terms import operands, terms

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.tables import Tables
    from riskml.evidence.rule import Incumbent
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

__all__ = ["Ask", "Candidate", "Suggestion", "suggest"]

BY_FRAUDS = 3.0  # alerts for each known fraud, where neither recipe nor rule says how many are wanted
LEAST_GROUPS = 3  # groups of frauds a rule must catch
LONGEST = 3  # conditions of a rule,
SHORTER = 2  # or so many below
ENOUGH = 90  # known frauds: in simulated worlds with fewer, a third condition catches less on later days
LEAST_SHARE = 0.04  # of all known frauds


@dataclass(frozen=True)
class Ask:
    """What is wanted.

    Args:
        as_of: only what was known before it, microseconds UTC; None: the recipe's now.
        since: events before it are left out, microseconds UTC; None: all of the log.
        share: part of the time that candidates are found on; the rest shows them.
        per_day: alert budget a day; None: the recipe's, the rule's, or ``BY_FRAUDS`` a known fraud.
        most: candidates.
        confidence: of the intervals.
        seed: of the sample of goods, where there are very many.
    """

    as_of: int | None = None
    since: int | None = None
    share: float = 0.6
    per_day: float | None = None
    most: int = 5
    confidence: float = 0.95
    seed: int = 7


@dataclass(frozen=True)
class Candidate:
    """One rule: its text, whether it reads features of the run, and what it does on either part."""

    when: str
    reads_features: bool
    found: Measured
    shown: Measured


@dataclass(frozen=True)
class Suggestion:
    """Candidates, best first, and what they rest on; ``source`` says where the budget of alerts a day comes from."""

    threat: str
    as_of: int
    earlier: Part
    later: Part
    per_day: float
    source: str
    confidence: float
    candidates: tuple[Candidate, ...]
    terms: int
    conditions: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Facts for JSON."""
        return {
            "schema": "riskml.suggest/1",
            "threat": self.threat,
            "as_of": iso(self.as_of),
            "earlier": self.earlier.to_dict(),
            "later": self.later.to_dict(),
            "budget": {"alerts_per_day": self.per_day, "source": self.source},
            "confidence": self.confidence,
            "searched": {"terms": self.terms, "conditions": self.conditions},
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "notes": list(self.notes),
        }


def suggest(
    recipe: Recipe,
    tables: Tables,
    log: LabelLog,
    incumbent: Incumbent | None,
    table: FeatureTable | None = None,
    ask: Ask | None = None,
) -> Suggestion:
    """Candidate rules.

    Args:
        table: features of the run, to be offered beside the events' own columns.

    Raises:
        UsageError: ``as_of`` lies outside the data.
        DataError: too few known frauds.
    """
    ask = ask or Ask()
    as_of = tables.as_of if ask.as_of is None else ask.as_of
    days = read_days(recipe, tables, log, incumbent, as_of=as_of, since=ask.since, share=ask.share)
    per_day, source = _budget(recipe, days.earlier, tables, ask)
    offered = terms(recipe, tables, table, days.earlier.rows)
    fraud = days.earlier.fraud == 1
    goal = Goal(
        fraud=fraud,
        value=days.earlier.value,
        groups=days.earlier.groups,
        alerts=per_day * days.earlier.days,
        least=max(LEAST_GROUPS, round(LEAST_SHARE * int(fraud.sum()))),
        longest=LONGEST if int(fraud.sum()) >= ENOUGH else SHORTER,
        seed=ask.seed,
    )
    pool, found = search((one for term in offered for one in conditions(term, fraud)), goal)
    chosen = diverse(found, ask.most)
    columns = operands(recipe, tables, table)
    return Suggestion(
        threat=recipe.threat.name,
        as_of=as_of,
        earlier=days.earlier,
        later=days.later,
        per_day=per_day,
        source=source,
        confidence=ask.confidence,
        candidates=tuple(_candidate(one, pool, days, columns, ask.confidence) for one in chosen),
        terms=len(offered),
        conditions=len(pool),
        notes=tuple(_notes(recipe, days, chosen)),
    )


def _budget(recipe: Recipe, earlier: Part, tables: Tables, ask: Ask) -> tuple[float, str]:
    """Alerts a day and where that number comes from: "asked", "recipe", "rule" or "frauds"."""
    if ask.per_day is not None:
        return ask.per_day, "asked"
    if recipe.train.alerts_per_day is not None:
        return recipe.train.alerts_per_day, "recipe"
    when = tables.events.time[earlier.rows[earlier.fired]]
    if len(when):
        active = (earlier.end - int(when.min())) / 86_400_000_000
        return len(when) / max(active, 1.0), "rule"
    return BY_FRAUDS * int((earlier.fraud == 1).sum()) / earlier.days, "frauds"


def _candidate(
    one: Found, pool: list[Condition], days: Days, columns: dict[str, np.ndarray], level: float
) -> Candidate:
    when = " and ".join(pool[part].text for part in one.parts)
    return Candidate(
        when=when,
        reads_features=any(pool[part].features for part in one.parts),
        found=measure(when, days.earlier, columns, level),
        shown=measure(when, days.later, columns, level),
    )


def _notes(recipe: Recipe, days: Days, chosen: list[Found]) -> Iterator[str]:
    """What a reader should know before using a candidate, in whole sentences."""
    later = days.later
    if not chosen:
        yield "No conjunction catches enough frauds within the alert budget; a greater --alerts would help."
    if int((days.earlier.fraud == 1).sum()) < ENOUGH:
        yield f"Fewer than {ENOUGH} frauds are known in the earlier days: no rule has more than {SHORTER} conditions."
    if later.young:
        yield (
            f"{later.young:.0%} of the later events are younger than matures_after: frauds among them may not be known "
            "yet, so precision there can still rise and recall can move."
        )
    if later.stopped:
        yield (
            f"The rule in force stopped {later.stopped:,} later events, which nobody could claim: recall and value are "
            "of the frauds that got through, so they flatter candidates unlike that rule and wrong those like it."
        )
    if not (later.fraud == 1).any():
        yield "No fraud is known in the later days, so they show alerts and nothing else."
    elif not later.claimed.any():
        yield "No later fraud came by an independent route; recall rests on frauds that alerts or links found."
    if recipe.labels.absent == "unknown":
        yield "Silence is unknown in this recipe (labels.absent), so precision is of labelled alerts alone."
    if not days.priced:
        yield "The events carry no amounts, so every fraud counts as 1."
