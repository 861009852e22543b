"""The backtest against the incumbent: ADD and REPLACE answered on decisions nobody trained on.

In go recipe, tables, features, labels, windows and a trained model; out comes one frozen, JSON-ready ``Backtest``.
Only matured decisions after the rule was written and after the last training label was known count. It refuses a log
that cannot carry a verdict, and says INCONCLUSIVE, with what would settle it, where the evidence is thin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.contract import require
from riskml.data.maturity import Maturity, maturity
from riskml.data.rulelog import AGREEMENT
from riskml.data.split import iso, matured
from riskml.errors import DataError, StaleError
from riskml.evidence import metrics
from riskml.evidence.backtest.add import judge_add
from riskml.evidence.backtest.baselines import Policy, compare, retuned
from riskml.evidence.backtest.control import settled
from riskml.evidence.backtest.control_plan import ControlPlan, control_plan
from riskml.evidence.backtest.control_words import paced
from riskml.evidence.backtest.examples import Examples, pick
from riskml.evidence.backtest.ledger import Looks, Request, take
from riskml.evidence.backtest.log import Counts, Points, Sample, amounts, dated, operating_points, sample
from riskml.evidence.backtest.matches import Match, chosen, freeze_matches, matches
from riskml.evidence.backtest.money import NetValue, net_value
from riskml.evidence.backtest.panels import Early, Immature, Week, weeks, young
from riskml.evidence.backtest.prerule import PreRule, pre_rule
from riskml.evidence.backtest.replace import Evidence, judge_replace, largest_cluster, measure
from riskml.evidence.backtest.rival import Opponent, Rival, beside, rival_facts, spoken, stand_in
from riskml.evidence.backtest.routes import Source, doubted, sources
from riskml.evidence.backtest.rule_fields import rule_fields
from riskml.evidence.backtest.segments import Segment, Threat, guarded, segments, threats
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.support import Support, support
from riskml.evidence.backtest.swap import Saved, SwapRow, saved, swap_table
from riskml.evidence.backtest.terms import Terms, terms
from riskml.evidence.backtest.traits import kinds, values
from riskml.evidence.backtest.verdict import Verdict, plain
from riskml.evidence.backtest.waiting import Ready, nothing, nothing_matured, postponed, ready, unspent, waits
from riskml.evidence.backtest.words import flips, headline, rollback
from riskml.evidence.rule import Incumbent, incumbent
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from pathlib import Path

    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.evidence.backtest.units import Units
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Recipe

__all__ = ["SCHEMA", "Backtest", "Judgement", "backtest", "judge"]

SCHEMA = "riskml.backtest/2"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """Everything that follows from units alone: both verdicts and what stands beside them."""

    add: Verdict
    replace: Verdict
    evidence: Evidence
    support: Support
    swap: tuple[SwapRow, ...]
    saved: tuple[Saved, ...]
    without_largest: Evidence | None
    largest_share: float
    day_blocks: Evidence
    net_value: NetValue | None


@dataclass(frozen=True)
class Ranking:
    """The score on seen outcomes of the test window, weighted by release chance."""

    roc_auc: float
    average_precision: float
    brier: float
    calibration_error: float
    calibration_intercept: float
    calibration_slope: float


@dataclass(frozen=True)
class RuleFacts:
    """The incumbent in the eligible window."""

    name: str
    enforced: bool
    since: str | None
    fired: int
    released: int
    no_chance: int
    agreement: float | None
    replayed: bool


@dataclass(frozen=True)
class Backtest:
    """The facts of one backtest; ``to_dict`` is what reports, terminal and JSON all show."""

    threat: str
    question: str
    terms: Terms
    headline: str
    exit_code: int
    as_of: str
    windows: Mapping[str, str]
    counts: Counts
    points: Points
    rule: RuleFacts
    rival: Rival
    judgement: Judgement
    baselines: tuple[Policy, ...]
    weeks: tuple[Week, ...]
    worst_week: Week | None
    maturity: Maturity
    ready: Ready | None  # when all of the test window will be matured; None if it is
    early: Early | None
    immature: Immature
    ranking: Ranking
    sources: tuple[Source, ...]  # of independent labels, and whether they only follow alerts
    segments: tuple[Segment, ...]
    threats: tuple[Threat, ...]
    matches: tuple[Match, ...]
    looks: Looks
    plan: ControlPlan | None  # the release ramp; None beside a rival
    pre_rule: PreRule | None  # before the rule was written; None beside a rival
    confidence: float
    flips: tuple[str, ...]
    rollback: tuple[str, ...]
    notes: tuple[str, ...]
    hashes: Mapping[str, str]
    examples: Examples | None = None
    schema: str = SCHEMA

    @property
    def verdict(self) -> Verdict:
        """The verdict on the question that sets the exit code."""
        return self.judgement.add if self.question == "add" else self.judgement.replace

    def to_dict(self) -> dict[str, object]:
        """JSON-ready facts; the judgement's parts stand at the top level, and no example is among them."""
        facts = plain(replace(self, examples=None))
        assert isinstance(facts, dict)
        facts.pop("examples")
        judged = facts.pop("judgement")
        return {"schema": facts.pop("schema"), **facts, **judged}


def backtest(
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    model: Model,
    opponent: Opponent | None = None,
    *,
    sign_off: Request | None = None,
    ledger: Path | None = None,
) -> Backtest:
    """Judge ``model`` against the rule of ``recipe``, or against ``opponent`` on the same log.

    ``sign_off`` opens the sealed part of the test window and writes the look down; without it the verdict sees what
    lies before, and ``ledger`` only tells how often it was opened.

    Raises:
        UsageError: the opponent is the model itself, or sign-off is asked for and nothing is sealed.
        DataError: there is no rule, its log is broken, no decision is eligible, or the opponent cannot be replayed.
    """
    digest = recipe.digest("backtest")
    require(recipe, tables)
    clock = maturity(recipe, log, windows.as_of)
    windows = matured(windows, clock.used)
    inc = logged = dated(recipe, tables, incumbent(recipe, tables))
    computed = False
    if opponent is not None:
        inc, computed = stand_in(opponent, logged, recipe, tables, table, log, windows, model)
    if inc is None:
        raise DataError(
            "the recipe has no [rule], so there is nothing to judge the model against", "add a [rule] section"
        )
    time = tables.events.time
    margins = np.full(len(time), -np.inf)
    rows = np.flatnonzero(time >= windows.calibrate_start)
    margins[rows] = model.margins(table.frame, rows)
    points = operating_points(recipe, tables, windows, log, inc, model.threshold, margins)
    frozen = freeze_matches(recipe, tables, log, windows, inc, points, margins)
    if opponent is None and chosen(frozen, recipe.backtest) != points.replace:
        way = recipe.backtest.match
        raise StaleError(f"the model's threshold was not frozen to match by {way}", "run `riskml train` again")
    policies = _policies(recipe, tables, log, windows, inc, points)
    if opponent is not None:
        policies = beside(policies, logged)
    subject = _subject(recipe, tables, opponent)
    later = ready(windows, inc.since, clock.used, recipe.train.test)
    idle = later is not None and nothing_matured(windows, inc, time, recipe.backtest.sign_off)
    if idle:  # no look is spent on nothing
        looks = unspent(recipe, windows)
        taken = nothing(windows, policies)
    else:
        recipe, seen, looks = take(recipe, windows, model.digest, subject, sign_off, ledger)
        taken = sample(recipe, tables, log, seen, inc, points, margins, policies)
    spec, units, days = recipe.backtest, taken.units, taken.counts.days
    alerts = margins[taken.rows] >= points.replace
    rival = rival_facts(opponent, inc, taken.rows, alerts, computed)
    found = named(judge(units, recipe, days), rival.noun)
    if idle and later is not None:
        found = postponed(found, later)
    parts = segments(units, values(recipe, tables, table.frame, taken.shown), spec)
    if opponent is None:  # a guardrail is what the rule in force gives each segment today
        found = replace(found, add=guarded(found.add, parts), replace=guarded(found.replace, parts))
    held = inc.blocks & ~(inc.released & inc.enforced)  # releases are all fired on, whoever looks
    told = sources(log, windows.test_cut, taken.rows, alerts, held[taken.rows])
    found = replace(found, add=doubted(found.add, told), replace=doubted(found.replace, told))
    shut = looks.part == "development"
    early, immature = young(recipe, tables, log, windows, clock, inc, points, margins, shut=shut)
    sides = {
        "nothing": units.model & False,
        "rule": units.rule,
        "model": units.model,
        "rule or model": units.rule | units.extra,
    }
    plan = panel = None
    if opponent is None:
        panel = pre_rule(recipe, tables, table, log, windows, inc, points, model)
        plan = control_plan(
            recipe, tables, log, windows, inc, points, margins, taken, matures_after=clock.used, model=model.digest
        )
        found = replace(found, replace=paced(found.replace, plan))
    by_week = weeks(settled(units), taken.start, taken.end)
    asked, other = (found.add, found.replace) if spec.question == "add" else (found.replace, found.add)
    return Backtest(
        threat=recipe.threat.name,
        question=spec.question,
        terms=terms(spec),
        headline=headline(asked, other),
        exit_code=int(asked.exit_code),
        as_of=iso(windows.as_of),
        windows=windows.to_dict(),
        counts=taken.counts,
        points=points,
        rule=_rule_facts(logged or inc, taken),
        rival=rival,
        judgement=found,
        baselines=compare(units, sides | dict(taken.policies), spec, days),
        weeks=by_week,
        worst_week=min(by_week, key=lambda week: week.value_low, default=None),
        maturity=clock.facts,
        ready=later,
        early=early,
        immature=immature,
        ranking=_ranking(model, margins, taken, log, windows, inc),
        sources=told,
        segments=parts,
        threats=threats(units, kinds(log, windows.test_cut, taken.shown), spec) if recipe.labels.threat else (),
        matches=tuple(
            replace(match, missing=spoken(match.missing, rival.noun))
            for match in matches(frozen, units, spec, found.evidence)
        ),
        looks=looks,
        plan=plan,
        pre_rule=panel,
        confidence=spec.confidence,
        flips=flips(found.replace, found.add),
        rollback=rollback(found.add, taken.counts, int(units.model.sum()), int(units.extra.sum())),
        notes=(
            *_notes(recipe, inc, found, points, taken.counts, rival),
            *waits(clock.facts, later),
            looks.words,
        ),
        hashes={
            "model": model.digest,
            "recipe": model.recipe_digest,  # as in the release's lineage
            "backtest": digest,
            "data": tables.fingerprint,
            "plan": table.plan.digest,
            **({} if opponent is None else {"rival": opponent.digest}),
        },
        examples=pick(units, taken.shown, spec.seed),
    )


def judge(units: Units, recipe: Recipe, days: float) -> Judgement:
    """Both verdicts from units alone, with the sensitivities shown beside them."""
    spec = recipe.backtest
    verdict, evidence = judge_replace(units, spec, days)
    code, share = largest_cluster(units)
    rest = units.take(units.groups[0] != code) if code >= 0 else None
    blocks = np.unique(units.time // DAY, return_inverse=True)[1].astype(np.int64)[None, :]
    by_day = replace(units, groups=blocks, ways=("day",))
    return Judgement(
        add=judge_add(units, spec, days),
        replace=verdict,
        evidence=evidence,
        support=support(units),
        swap=swap_table(stratified(units), spec),
        saved=saved(units, spec),
        without_largest=measure(rest, spec) if rest is not None and len(rest) else None,
        largest_share=share,
        day_blocks=measure(by_day, spec),
        net_value=net_value(units, spec),
    )


def named(found: Judgement, noun: str) -> Judgement:
    """The same judgement with what is said of the rule said of ``noun``."""

    def said(verdict: Verdict) -> Verdict:
        reasons = tuple(spoken(reason, noun) for reason in verdict.reasons)
        return replace(verdict, reasons=reasons, settle=replace(verdict.settle, text=spoken(verdict.settle.text, noun)))

    return replace(found, add=said(found.add), replace=said(found.replace))


def _subject(recipe: Recipe, tables: Tables, opponent: Opponent | None) -> str:
    """SHA-256 of all but the model that decides the answer: a look at the same subject is the same look."""
    rival = None if opponent is None else [opponent.kind, opponent.digest]
    body = [recipe.digest("events", "labels", "rule", "train", "backtest"), tables.fingerprint, rival]
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()


def _policies(
    recipe: Recipe, tables: Tables, log: LabelLog, windows: Windows, inc: Incumbent, points: Points
) -> dict[str, npt.NDArray[np.bool_]]:
    """Baselines whose line was drawn before test, as alerts on every event."""
    time, frame = tables.events.time, tables.events.frame
    found = {}
    if points.amount is not None:
        found["amount only"] = amounts(recipe, tables, np.arange(len(time))) >= points.amount
    seen = inc.comparable & inc.observed & (time < windows.calibrate_end)
    fit = np.flatnonzero(seen)
    moved = retuned(recipe, frame, time, fit, log.independent_outcome(windows.calibrate_cut)[fit])
    if moved is not None:
        found["rule re-tuned"] = moved
    small = rule_fields(recipe, tables, log, windows, inc, points.rule_alerts)
    if small is not None:
        found["model on the rule's fields"] = small
    return found


def _rule_facts(inc: Incumbent, taken: Sample) -> RuleFacts:
    fired = inc.blocks[taken.rows]
    return RuleFacts(
        name=inc.name,
        enforced=inc.enforced,
        since=None if inc.since is None else iso(inc.since),
        fired=int(fired.sum()),
        released=int((inc.released[taken.rows] & fired).sum()) if inc.enforced else int(fired.sum()),
        no_chance=int((fired & np.isnan(inc.release_chance[taken.rows])).sum()) if inc.enforced else 0,
        agreement=inc.agreement,
        replayed=inc.replayed,
    )


def _ranking(model: Model, margins: Floats, taken: Sample, log: LabelLog, windows: Windows, inc: Incumbent) -> Ranking:
    rows = taken.rows[inc.observed[taken.rows]]
    fraud = log.independent_outcome(windows.test_cut)[rows]
    rows, fraud = rows[fraud >= 0], fraud[fraud >= 0]
    chance = inc.release_chance[rows]
    weight = np.where(inc.blocks[rows] & inc.enforced & ~np.isnan(chance), 1 / np.where(chance > 0, chance, 1.0), 1.0)
    probability = np.asarray(model.probabilities(margins[rows]), np.float64)
    line = metrics.calibration_line(probability, fraud, weight)
    return Ranking(
        roc_auc=metrics.roc_auc(margins[rows], fraud, weight),
        average_precision=metrics.average_precision(margins[rows], fraud, weight),
        brier=metrics.brier(probability, fraud, weight),
        calibration_error=metrics.calibration_error(probability, fraud, weight=weight),
        calibration_intercept=line.intercept,
        calibration_slope=line.slope,
    )


def _notes(
    recipe: Recipe, inc: Incumbent, found: Judgement, points: Points, counts: Counts, rival: Rival
) -> tuple[str, ...]:
    notes = list(inc.notes)
    if inc.replayed:
        notes.append("The log does not say what fired; the rule's text was replayed instead.")
    if inc.agreement is not None and inc.agreement < AGREEMENT:
        notes.append(f"The rule's text agrees with the log on {inc.agreement:.1%} of events only; the log was used.")
    if points.source == "frauds":
        said = "The rule raised no alert on calibrate; volumes were matched to the known frauds there instead."
        notes.append(spoken(said, rival.noun))
    if not recipe.backtest.cluster_by:
        notes.append(f"backtest.cluster_by is not set; rows were clustered by {' and '.join(found.evidence.ways)}.")
    if not counts.priced:
        notes.append("No amount at risk is logged, so value is the number of frauds; set events.amount for money.")
    if found.largest_share > 0.3:
        notes.append(f"One campaign holds {found.largest_share:.0%} of the known frauds.")
    if counts.unknown:
        notes.append(f"{counts.unknown:,} episodes went through but their outcome is unknown; they are bounded.")
    if (found.day_blocks.value.low > 0) != (found.evidence.value.low > 0):
        notes.append("Resampling whole days instead of customers changes whether the value gain is shown.")
    return tuple(notes)
