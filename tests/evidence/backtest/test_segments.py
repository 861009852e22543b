"""Segments and kinds of threat: what is assessable, what is breached, and what a verdict makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from riskml.evidence.backtest.segments import guarded, segments, threats
from riskml.evidence.backtest.units import Units, pack
from riskml.evidence.backtest.verdict import Verdict
from riskml.recipe.spec import Backtest

SPEC = Backtest(draws=200)


def made(model: np.ndarray, rule: np.ndarray, fraud: np.ndarray, **change: Any) -> Units:
    n = len(fraud)
    body: dict[str, Any] = {
        "model": model, "extra": np.zeros(n, bool), "rule": rule, "enforced": False, "released": np.zeros(n, bool),
        "chance": np.full(n, np.nan), "fraud": fraud.astype(np.int8), "alert_fraud": np.full(n, -1, np.int8),
        "value": np.full(n, 10.0), "time": np.arange(n), "groups": np.arange(n)[None, :], "ways": ("row",),
    }  # fmt: skip
    return pack(**(body | change))


def world(seed: int, *, frauds: int = 200, goods: int = 4000, drop: float = 0.0) -> tuple[Units, np.ndarray]:
    """Two equal countries; the model loses ``drop`` of its recall in the second alone."""
    rng = np.random.default_rng(seed)
    fraud = np.r_[np.ones(frauds), np.zeros(goods)]
    country = np.where(rng.random(len(fraud)) < 0.5, "AA", "BB").astype(object)
    rule = np.where(fraud == 1, rng.random(len(fraud)) < 0.6, rng.random(len(fraud)) < 0.01)
    keep = np.where(country == "BB", 0.6 - drop, 0.6)
    model = np.where(fraud == 1, rng.random(len(fraud)) < keep, rng.random(len(fraud)) < 0.01)
    return made(model, rule, fraud), country


def test_counts_and_rates_are_those_of_the_segment() -> None:
    """Recall and insult rate of each segment are the plain shares where everything was seen."""
    units, country = world(1)
    rows = segments(units, [("country", country)], SPEC)
    assert sorted(row.value for row in rows) == ["AA", "BB"] and sum(row.units for row in rows) == len(units)
    for row in rows:
        inside = country == row.value
        bad, good = inside & (units.fraud == 1), inside & (units.fraud == 0)
        assert (row.frauds, row.goods, row.missing) == (bad.sum(), good.sum(), ())
        assert row.model.recall is not None and row.rule.insult_rate is not None
        assert row.model.recall.estimate == pytest.approx(units.model[bad].mean())
        assert row.rule.insult_rate.estimate == pytest.approx(units.rule[good].mean())
        assert row.model.recall.low < row.model.recall.estimate < row.model.recall.high


def test_a_true_loss_in_one_segment_breaches_and_noise_does_not() -> None:
    """A recall lower by half in one country is found nearly always, equal countries are nearly never blamed."""
    found = dict.fromkeys((0.0, 0.4), 0)
    for drop in found:
        for seed in range(8):
            units, country = world(seed, goods=1000, drop=drop)
            rows = {row.value: row for row in segments(units, [("country", country)], SPEC)}
            found[drop] += "recall" in rows["BB"].replace.breached
            assert not rows["AA"].replace.breached
    assert found[0.0] == 0 and found[0.4] >= 7


def test_insults_heaped_on_one_segment_breach() -> None:
    """Five times the insults in one country pass the limit there, and only there."""
    units, country = world(3)
    rng = np.random.default_rng(99)
    heap = (country == "BB") & (units.fraud == 0) & (rng.random(len(units)) < 0.05)
    rows = {
        row.value: row for row in segments(made(units.model | heap, units.rule, units.fraud), [("c", country)], SPEC)
    }
    assert rows["BB"].replace.breached == ("insults",) and rows["AA"].replace.breached == ()
    extra = made(units.model, units.rule, units.fraud, extra=heap & ~units.rule)
    rows = {row.value: row for row in segments(extra, [("c", country)], SPEC)}
    assert rows["BB"].add.breached == ("insults",) and rows["BB"].replace.breached == ()


@pytest.mark.parametrize(("frauds", "goods", "clusters", "says"), [
    (9, 500, 500, "9 known frauds, 10 needed"),
    (20, 49, 500, "49 known goods, 50 needed"),
    (20, 500, 2, "the known frauds are worth 2.0, 5 needed"),
])  # fmt: skip
def test_too_few_is_not_assessable(frauds: int, goods: int, clusters: int, says: str) -> None:
    """Below 10 frauds, 50 goods or 5 clusters of frauds there is no number, no breach and a reason."""
    fraud = np.r_[np.ones(frauds), np.zeros(goods)]
    groups = np.where(fraud == 1, np.arange(len(fraud)) % clusters, np.arange(len(fraud)) + 1000)
    units = made(fraud == 5, fraud == 1, fraud, groups=groups[None, :])
    (row,) = segments(units, [("all", np.full(len(fraud), "x", object))], SPEC)
    assert says in row.missing and not row.add.breached
    assert (row.model.recall is None) == ("fraud" in says) and (row.model.insult_rate is None) == ("good" in says)
    assert ("recall" in row.replace.breached) == ("good" in says)  # the rule caught all, the model none


def test_what_nobody_saw_only_bounds() -> None:
    """Stopped alerts without releases leave bounds and no estimate, and blame nobody."""
    units, country = world(5)
    shut = made(units.model, units.rule, units.fraud, enforced=True)
    for row in segments(shut, [("country", country)], SPEC):
        assert row.model.recall is not None and row.model.recall.mark == "unknown"
        assert np.isnan(row.model.recall.estimate) and row.rule.recall is not None and row.rule.recall.low == 0
        assert not row.replace.breached


def test_a_breach_stops_a_pass_and_joins_other_reasons() -> None:
    """PASS becomes FAIL with the segment named; other words keep theirs and add the reason."""
    units, country = world(0, drop=0.5)
    rows = segments(units, [("country", country)], SPEC)
    passed = guarded(Verdict("replace", "PASS", ("good",)), rows)
    assert passed.word == "FAIL" and passed.reasons == ("guardrail: where country is BB, recall is lower than allowed",)
    open_ = guarded(Verdict("replace", "INCONCLUSIVE", ("thin",)), rows)
    assert open_.word == "INCONCLUSIVE" and open_.reasons == ("thin", *passed.reasons)
    beside = Verdict("add", "PASS", ("good",))
    assert guarded(beside, rows) == beside and guarded(beside, ()) == beside


def test_each_kind_of_threat_has_its_numbers() -> None:
    """Recall and money by kind are the plain ones where all was seen; a rare kind is not assessable."""
    units, _ = world(7)
    kinds = np.full(len(units), None, object)
    kinds[:150], kinds[150:195] = "takeover", "scam"
    rows = {row.name: row for row in threats(units, kinds, SPEC)}
    assert list(rows) == ["takeover", "scam", "not stated"]
    for name, own in (("takeover", slice(0, 150)), ("scam", slice(150, 195))):
        row = rows[name]
        assert row.frauds == own.stop - own.start and row.value == 10 * row.frauds and not row.missing
        assert row.model is not None and row.model.estimate == pytest.approx(units.model[own].mean())
        assert row.caught is not None
        assert row.caught.estimate == pytest.approx(10 * (units.model[own].sum() - units.rule[own].sum()))
    assert rows["not stated"].missing == "5 known frauds, 10 needed" and rows["not stated"].model is None


def test_unseen_frauds_may_be_of_any_kind() -> None:
    """Stopped alerts bound the recall of every kind from above and below."""
    units, _ = world(8)
    shut = made(units.model, units.rule, units.fraud, enforced=True)
    kinds = np.where(np.arange(len(units)) < 100, "a", "b").astype(object)
    for row in threats(shut, kinds, SPEC):
        assert row.rule is not None and row.rule.mark == "unknown" and row.rule.low == 0
        assert row.rule.high > 0.3  # every stopped alert might have been of this kind
