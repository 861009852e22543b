"""Before the rule: what a model and the rule's text would have caught on days when nothing was stopped yet.

In go the log up to the rule's first version; out come rolling predictions (models of the same parameters, each trained
on what was known when its block began) beside the rule replayed on the same days, at as many alerts. Every outcome
there was seen, so nothing is censored. It is conservative evidence, since the rule was written by people who had seen
these days, and it decides nothing. Too few days, frauds or alerts are refused with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from riskml.data.episodes import episodes
from riskml.data.split import iso
from riskml.errors import RiskmlError
from riskml.evidence.backtest.log import Points, sample
from riskml.evidence.backtest.replace import Evidence, measure
from riskml.evidence.rule import Incumbent
from riskml.evidence.rule import replay as replay_rule
from riskml.learning import boost
from riskml.learning.prepare import ones, sample_goods
from riskml.learning.schema import learn_schema
from riskml.learning.space import ALWAYS, RANGES
from riskml.learning.threshold import freeze
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Recipe

__all__ = ["Block", "PreRule", "pre_rule"]

BLOCKS = 3  # models fitted at most
SHORTEST = 3 * DAY  # a block below it holds too few alerts to match
LEAST_FRAUDS = 10  # known frauds a model is trained on, and the panel holds, at least
LEAST_ROWS = 100
GOODS = 20_000  # good rows one of these models sees at most: the panel must take seconds
ROUNDS = 150  # boosting rounds at most
EVENTS = 200_000  # events scored at most; of more, the latest before the rule

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """One block of days, scored by a model that knew nothing of them; all numbers observed.

    Args:
        start: first instant.
        end: instant after the last.
        rows: rows the block's model was trained on; good ones beyond ``GOODS`` were left out at random.
        frauds: frauds among them.
        alerts: alerts of the replayed rule, which the model's match (episodes, where the recipe folds them).
    """

    start: str
    end: str
    rows: int
    frauds: int
    alerts: int


@dataclass(frozen=True)
class PreRule:
    """Model and rule on days before the rule; it decides nothing.

    Args:
        assessable: whether there was enough to compare.
        why: why not; or, if so, how to read it. One sentence.
        start: first instant compared.
        end: when the rule's first version began.
        units: decisions compared (episodes, where the recipe folds them).
        frauds: known frauds among them.
        blocks: how each part was predicted.
        evidence: differences model minus rule with intervals, all outcomes observed.
    """

    assessable: bool
    why: str
    start: str | None = None
    end: str | None = None
    units: int = 0
    frauds: int = 0
    blocks: tuple[Block, ...] = ()
    evidence: Evidence | None = None


class _TooLittle(Exception):
    """Nothing to compare; the text says why."""


def pre_rule(
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    inc: Incumbent,
    points: Points,
    model: Model,
) -> PreRule:
    """The panel, or why there is none."""
    try:
        return _panel(recipe, tables, table, log, windows, inc, points, model)
    except _TooLittle as reason:
        return PreRule(False, f"Not assessable: {reason}.")


def _panel(
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    inc: Incumbent,
    points: Points,
    model: Model,
) -> PreRule:
    if inc.since is None:
        raise _TooLittle("nothing says when the rule was written")
    time, able = tables.events.time, inc.comparable
    fired = _text(recipe, tables, windows)
    edges = _edges(time, able, inc.since, windows.gap, recipe.train.test)
    margins = np.full(len(time), -np.inf)
    blocks, begin = [], inc.since
    for span in pairwise(edges):
        found = _block(recipe, tables, table, log, inc, model, fired, span)
        if found is not None:
            block, rows, above = found
            margins[rows] = above
            blocks.append(block)
            begin = min(begin, span[0])
    if not blocks:
        raise _TooLittle("too few known frauds before these days to train on, or no alert of the rule's text in them")
    told = replace(windows, test_start=begin, test_end=inc.since)
    units = sample(
        recipe,
        tables,
        log,
        told,
        _unenforced(inc, fired),
        replace(points, replace=0.0, add=None, amount=None),
        margins,
        {},
    ).units
    frauds = int(units.known_fraud.sum())
    if frauds < LEAST_FRAUDS:
        raise _TooLittle(f"{frauds} known frauds in the days before the rule, {LEAST_FRAUDS} needed")
    return PreRule(
        assessable=True,
        why="Every outcome was seen, but the rule's authors had seen these days too: read a loss with that in mind.",
        start=iso(told.test_start),
        end=iso(inc.since),
        units=len(units),
        frauds=frauds,
        blocks=tuple(blocks),
        evidence=measure(units, recipe.backtest),
    )


def _text(recipe: Recipe, tables: Tables, windows: Windows) -> Bools:
    """Whether the rule's text, as it stood at the end of test, fires on each event [n]."""
    assert recipe.rule is not None
    ordered = sorted(recipe.rule.versions, key=lambda version: -1 if version.since is None else version.since)
    last = [version for version in ordered if version.since is None or version.since < windows.test_end] or ordered[:1]
    rule = replace(recipe.rule, versions=(replace(last[-1], since=None),))
    try:
        return replay_rule(rule, tables.events.frame, tables.events.time)
    except RiskmlError as error:
        raise _TooLittle(f"the rule's text cannot be replayed ({error.message})") from None


def _edges(time: Int64, able: Bools, since: int, gap: int, length: int) -> list[int]:
    """Ends of up to ``BLOCKS`` equal blocks before the rule: no longer than test, after a time to train on."""
    before = np.sort(time[able & (time < since)])
    if not len(before):
        raise _TooLittle("no event is older than the rule")
    first = int(before[0])
    start = max(since - length, first + gap + (since - first - gap) // 3)
    if len(before) > EVENTS:
        start = max(start, int(before[-EVENTS]))
    count = min(BLOCKS, (since - start) // SHORTEST)
    if count < 1:
        raise _TooLittle(
            f"the log holds {(since - first) / DAY:.0f} days before the rule, too few to train and compare"
        )
    return [start + (since - start) * at // count for at in range(count + 1)]


def _block(
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    inc: Incumbent,
    model: Model,
    fired: Bools,
    span: tuple[int, int],
) -> tuple[Block, Int64, Floats] | None:
    """The block with its rows and how far each margin lies above its threshold; None if it cannot be compared."""
    time, (start, end) = tables.events.time, span
    rows = np.flatnonzero((time >= start) & (time < end) & inc.comparable)
    known = log.outcome(start, inc.stopped)
    past = np.flatnonzero((time < start) & (known >= 0))
    y = known[past]
    if not len(rows) or ones(y) < LEAST_FRAUDS or len(y) < LEAST_ROWS or ones(y) == len(y):
        return None
    folding = episodes(recipe, tables, rows)
    alerts = int(folding.any(fired[rows]).sum())
    if not alerts:
        return None
    kept = past[sample_goods(y, min(1.0, GOODS / max(1, len(y) - ones(y))), recipe.train.seed)]
    margins = _predict(table, model, kept, known[kept], rows)
    threshold = freeze(folding.most(margins), float(alerts))
    block = Block(iso(start), iso(end), len(kept), ones(y), alerts)
    return block, rows, margins - threshold


def _predict(table: FeatureTable, model: Model, past: Int64, y: npt.NDArray[np.int8], rows: Int64) -> Floats:
    """Raw margins of ``rows`` by a model like ``model``, trained on ``past`` alone [rows]."""
    import lightgbm as lgb

    names = model.schema.names
    schema = learn_schema(names, table.kinds, table.frame, past)
    learnt = model.trees[0]
    params = {name: value for name, value in learnt.params.items() if name in RANGES or name in ALWAYS}
    rounds = max(1, min(ROUNDS, learnt.num_trees()))
    if "learning_rate" in params:  # fewer rounds learn as much by longer steps
        params["learning_rate"] = float(params["learning_rate"]) * max(1, learnt.num_trees()) / rounds
    params["min_data_in_leaf"] = min(int(params.get("min_data_in_leaf", 20)), max(5, len(past) // 100))
    order = past[np.argsort(table.time[past], kind="stable")]
    y = y[np.argsort(table.time[past], kind="stable")]
    X = schema.encode(table.frame, order)
    text = boost.fit(X, y, params, rounds, (model.seed,), schema.categorical, names)[0]
    tree = lgb.Booster(model_str=text)
    return np.asarray(tree.predict(schema.encode(table.frame, rows), raw_score=True, num_threads=1), np.float64)


def _unenforced(inc: Incumbent, fired: Bools) -> Incumbent:
    """The rule as it would have fired, stopping nothing."""
    none = np.zeros(len(fired), bool)
    nan = np.full(len(fired), np.nan)
    return replace(inc, fired=fired, enforced=False, release_chance=nan, released=none, since=None, logged=None)
