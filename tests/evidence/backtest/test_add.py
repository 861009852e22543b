"""The bar an extra alert must reach, and the words that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from riskml.evidence.backtest.add import bar, judge_add
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest

N = 400


def world(*, right: float, enforced: bool = True, chance: float | None = None, reviewed: float = 0.0) -> Units:
    """200 rule alerts of which a quarter are frauds, 100 extra alerts right as often as told, and 100 others."""
    rng = np.random.default_rng(1)
    rule, extra = np.arange(N) < 200, (np.arange(N) >= 200) & (np.arange(N) < 300)
    fraud = np.where(rule, np.arange(N) % 4 == 0, extra & (np.arange(N) % 100 < 100 * right)).astype(np.int8)
    told = rule & (rng.random(N) < reviewed)
    return pack(
        model=extra,
        extra=extra,
        rule=rule,
        enforced=enforced,
        released=rule & (rng.random(N) < (chance or 0.0)),
        chance=np.where(rule, np.nan if chance is None else chance, np.nan),
        fraud=fraud,
        alert_fraud=np.where(told, fraud, -1).astype(np.int8),
        value=np.full(N, 10.0),
        time=rng.integers(0, 28 * DAY, N),
        groups=np.arange(N)[None, :],
        ways=("row",),
    )


SPEC = Backtest(draws=300, min_clusters=10)


@pytest.mark.parametrize(
    ("more", "basis"),
    [
        ({"enforced": False}, "observed"),
        ({"chance": 0.5}, "control releases"),
        ({"reviewed": 0.9}, "alert labels"),
        ({"reviewed": 0.3}, None),
        ({}, None),
    ],
)
def test_the_bar_is_the_rules_own_precision_where_it_can_be_known(more: dict[str, float], basis: str | None) -> None:
    """Outcomes first, then releases, then reviewers; with none of them there is no bar and no word."""
    units = world(right=0.6, **more)  # type: ignore[arg-type]
    assert bar(units, SPEC).basis == basis
    verdict = judge_add(units, SPEC, 28)
    if basis is None:
        assert verdict.word == "INCONCLUSIVE" and "min_precision" in verdict.settle.text
    else:
        assert verdict.word == "PASS" and verdict.numbers["bar"].estimate == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize(("right", "word"), [(0.6, "PASS"), (0.31, "INCONCLUSIVE"), (0.1, "FAIL")])
def test_words_follow_the_interval(right: float, word: str) -> None:
    """Above the stated bar passes, below fails, astride stays open and says how long."""
    verdict = judge_add(world(right=right), Backtest(draws=300, min_clusters=10, min_precision=0.3), 28)
    assert verdict.word == word
    assert (verdict.settle.text != "") == (word == "INCONCLUSIVE")
    assert verdict.numbers["precision"].estimate == pytest.approx(right)


def test_no_fraud_among_few_alerts_proves_little() -> None:
    """Three wrong alerts do not fail a model: the interval is at least the exact binomial one."""
    units = world(right=0.0)
    rows = np.flatnonzero(~units.extra | (np.arange(N) < 203))
    few = units.take(rows)
    precision = judge_add(few, Backtest(draws=300, min_precision=0.3), 28).numbers["precision"]
    assert precision.low == 0 and precision.high == pytest.approx(1 - 0.025 ** (1 / 3))


def test_beyond_the_allowance_it_is_another_question() -> None:
    """Extra alerts far above the allowance leave the verdict open, however good they are."""
    verdict = judge_add(world(right=0.9), Backtest(draws=300, min_clusters=10, min_precision=0.3, allowance=0.1), 28)
    assert verdict.word == "INCONCLUSIVE" and "allowance" in verdict.reasons[0]


def small(
    *, right: int, extra: int = 20, alerts: int = 50, bad: int = 0, told: int | None = None, chance: float = 1.0
) -> Units:
    """``extra`` extra alerts of which ``right`` are frauds, and ``alerts`` rule alerts of which ``told`` were seen.

    ``bad`` of the seen ones are frauds. With ``told`` None the rule stops nothing; 100 frauds nobody alerted on follow.
    """
    n = extra + alerts + 400
    at = np.arange(n)
    rule = (at >= extra) & (at < extra + alerts)
    fraud = (at < right) | (rule & (at < extra + bad)) | (at >= n - 100)
    return pack(
        model=at < extra,
        extra=at < extra,
        rule=rule,
        enforced=told is not None,
        released=rule & (at < extra + (told or 0)),
        chance=np.where(rule, chance, np.nan),
        fraud=fraud.astype(np.int8),
        alert_fraud=np.full(n, -1, np.int8),
        value=np.ones(n),
        time=at * DAY // 50,
        groups=at[None, :],
        ways=("row",),
    )


def test_no_fraud_caught_passes_no_bar() -> None:
    """A rule that caught nothing is no bar to pass with nothing: its precision has an upper end, as 0 of 50 has."""
    verdict = judge_add(small(right=0), SPEC, 28)
    assert verdict.word == "INCONCLUSIVE"
    assert verdict.numbers["bar"].high == pytest.approx(1 - 0.025 ** (1 / 50))
    assert verdict.numbers["lift"].low == pytest.approx(-(1 - 0.025 ** (1 / 50)))


def test_a_handful_of_frauds_passes_nothing() -> None:
    """Four known frauds among the extra alerts are too few for a PASS, five can do; equal to the bar is not above."""
    stated = Backtest(min_clusters=10, min_precision=0.001, allowance=10.0)
    assert judge_add(small(right=5), stated, 28).word == "PASS"
    four = judge_add(small(right=4), stated, 28)
    assert four.word == "INCONCLUSIVE" and four.reasons == ("4 known frauds among extra alerts, 5 needed",)
    assert judge_add(small(right=0), Backtest(draws=300, min_clusters=10, min_precision=0.0), 28).word != "PASS"


@pytest.mark.parametrize(
    ("told", "bad", "basis", "beside"),
    [
        (31, 3, "control releases", "control releases"),
        (29, 3, "control releases", "alert labels"),
        (31, 0, None, "alert labels"),
    ],
)
def test_releases_without_fraud_are_no_bar_and_few_give_way(
    told: int, bad: int, basis: str | None, beside: str
) -> None:
    """Releases need a fraud among them to speak of the rule's precision, and 30 to be heard before its reviewers."""
    units = small(right=6, alerts=100, told=told, bad=bad, chance=0.3)
    assert bar(units, SPEC).basis == basis
    reviewed = np.where(units.rule, np.arange(len(units)) % 2, -1).astype(np.int8)
    assert bar(replace(units, alert_fraud=reviewed), SPEC).basis == beside


def test_an_estimated_bar_is_a_share_whatever_was_drawn() -> None:
    """More releases than expected do not push the bar above one; unknown outcomes widen it to both sides."""
    units = small(right=12, alerts=50, told=40, bad=36, chance=0.5)
    line = judge_add(units, SPEC, 28).numbers["bar"]
    assert line.estimate == pytest.approx(0.9) and line.high <= 1
    some = np.arange(len(units)) < 20 + 36
    blurred = np.where(units.rule & some & (np.arange(len(units)) % 2 == 0), -1, units.fraud).astype(np.int8)
    wide = judge_add(replace(units, fraud=blurred), SPEC, 28).numbers["bar"]
    assert wide.estimate == pytest.approx(18 / 22) and wide.low < 18 / 40 and wide.high > 36 / 40


def test_a_bar_known_from_releases_rarely_lets_a_worse_model_pass() -> None:
    """With 35 releases of 100 alerts, extra alerts worse than the rule pass in at most 2 of 60 worlds."""
    words = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        units = small(right=int(rng.binomial(50, 0.1)), extra=50, alerts=100, told=35, bad=int(rng.binomial(35, 0.15)),
                      chance=0.35)  # fmt: skip
        words.append(judge_add(units, SPEC, 28).word)
    assert words.count("PASS") <= 2


def test_without_rule_alerts_there_is_no_allowance() -> None:
    """A volume nobody can set beside the rule's leaves the verdict open, even under a stated bar."""
    verdict = judge_add(small(right=15, alerts=0), Backtest(draws=300, min_clusters=10, min_precision=0.1), 28)
    assert verdict.word == "INCONCLUSIVE" and "no alert in the test window" in verdict.reasons[0]


def test_shares_stay_shares_and_the_word_does_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few clusters push uncut ends of shares beyond 0 and 1; what is told is cut, word and settlement stay."""
    place = np.arange(470)
    groups = np.where(place < 12, 0, np.where(place < 20, 1, place))
    units = replace(small(right=12, told=40, bad=20, chance=0.5), groups=groups[None, :])
    told = judge_add(units, SPEC, 28)
    monkeypatch.setattr("riskml.evidence.backtest.add._possible", lambda numbers: numbers)
    uncut = judge_add(units, SPEC, 28)
    assert (told.word, told.reasons, told.settle) == (uncut.word, uncut.reasons, uncut.settle)
    for name in ("precision", "bar"):
        share, whole = told.numbers[name], uncut.numbers[name]
        assert 0 <= share.low <= share.estimate <= share.high <= 1
        assert (share.low, share.high) == (max(whole.low, 0.0), min(whole.high, 1.0))
    assert uncut.numbers["precision"].low < 0 and uncut.numbers["precision"].high > 1
    assert -1 <= told.numbers["lift"].low <= told.numbers["lift"].high <= 1


def test_one_unknown_outcome_makes_an_estimate() -> None:
    """Figures over outcomes all seen are observed; one unknown among the extra or the rule's alerts ends that."""
    units, place = small(right=10, bad=10), np.arange(470)
    names = ("precision", "frauds", "value", "value_per_alert")

    def marks(unknown: int | None) -> tuple[set[str], str, str]:
        fraud = np.where(place == (-1 if unknown is None else unknown), -1, units.fraud).astype(np.int8)
        numbers = judge_add(replace(units, fraud=fraud), SPEC, 28).numbers
        return {numbers[name].mark for name in names}, numbers["bar"].mark, numbers["lift"].mark

    assert marks(None) == ({"observed"}, "observed", "observed")
    assert marks(3) == ({"estimated"}, "observed", "estimated")
    assert marks(40) == ({"observed"}, "estimated", "estimated")
    assert marks(400) == ({"observed"}, "observed", "observed")


def test_extra_alerts_and_their_known_frauds_are_counted() -> None:
    """The counts are the extra alerts and those whose fraud was seen; an unknown outcome is no known fraud."""
    units = small(right=10)
    fraud = np.where(np.arange(470) == 3, -1, units.fraud).astype(np.int8)
    assert judge_add(units, SPEC, 28).counts == {"extra": 20, "frauds": 10}
    assert judge_add(replace(units, fraud=fraud), SPEC, 28).counts == {"extra": 20, "frauds": 9}
