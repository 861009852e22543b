"""A control plan kept: no bias, the width and the words it promised, and never more than its cost."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from riskml.evidence.backtest.control_plan import ControlPlan, plan_control
from riskml.evidence.backtest.control_words import lines, markdown, paced
from riskml.evidence.backtest.forecast import Forecast
from riskml.evidence.backtest.replace import judge_replace
from riskml.evidence.backtest.strata import stratified
from riskml.evidence.backtest.verdict import Settle, Verdict, plain
from riskml.evidence.backtest.words import headline
from riskml.recipe.spec import DAY, Backtest, Control
from tests.ramp_worlds import draw

LOG, DAYS = 28, 14
NOW = 1_760_000_000_000_000
WIDE = Control(per_day=15, max_amount=20_000.0, days=DAYS * DAY)


def plan_for(control: Control, seed: int = 1, *, gain: float = 0.55, reviewed: bool = True) -> ControlPlan:
    units = draw(seed, LOG, gain=gain, reviewed=reviewed)[0]
    spec = Backtest(draws=200, control=control)
    return plan_control(units, spec, LOG, now=NOW, matures_after=20 * DAY, model="a" * 64)


def at_end(plan: ControlPlan) -> Forecast:
    return next(check.forecast for check in plan.checkpoints if check.forecast.days == plan.days)


@pytest.fixture(scope="module")
def kept() -> tuple[ControlPlan, dict[str, np.ndarray]]:
    """A plan, and 150 worlds in which it was followed."""
    plan = plan_for(WIDE)
    found: dict[str, list[float]] = {}
    for seed in range(150):
        units, fraud = draw(5_000 + seed, DAYS, plan)
        worth, once = units.value * fraud, stratified(units)
        verdict, evidence = judge_replace(units, Backtest(draws=150), DAYS)
        true = float(worth[units.model].sum() - worth[units.rule].sum())
        own = float(worth[units.model].sum() - (once.weight * worth)[units.sampled].sum())
        released = units.rule & (units.weight > 0)
        row = {
            "gap": own - true,
            "true": true,
            "half": (evidence.value.high - evidence.value.low) / 2,
            "covered": evidence.value.low <= true <= evidence.value.high,
            "passed": verdict.word == "PASS",
            "releases": released.sum(),
            "frauds": (released & fraud).sum(),
            "worst": max(units.value[released & (units.time // DAY == day)].sum() for day in range(DAYS)),
            "most": max((released & (units.time // DAY == day)).sum() for day in range(DAYS)),
            "loss": worth[released].sum(),
            "money": units.value[released].sum(),
            "closed": (units.rule & units.closed).sum(),
        }
        for name, value in row.items():
            found.setdefault(name, []).append(float(value))
    return plan, {name: np.array(values) for name, values in found.items()}


def test_following_the_plan_estimates_without_bias(kept: tuple[ControlPlan, dict[str, np.ndarray]]) -> None:
    """The value difference from the plan's releases is right on average, and its interval holds the truth."""
    _, found = kept
    assert abs(found["gap"].mean()) < 3.5 * found["gap"].std() / np.sqrt(150)
    assert found["covered"].mean() >= 0.93


def test_the_width_and_the_words_are_those_promised(kept: tuple[ControlPlan, dict[str, np.ndarray]]) -> None:
    """Half the interval is within a fifth of the plan's, and PASS comes about as often as it says."""
    plan, found = kept
    promised = at_end(plan)
    assert np.median(found["half"]) == pytest.approx(promised.half_width, rel=0.2)
    assert found["passed"].mean() == pytest.approx(promised.passes, abs=0.12) and promised.passes > 0.5
    assert found["true"].mean() == pytest.approx(promised.difference, rel=0.15)
    assert promised.fails < 0.01 and promised.bounded == 0


def test_releases_and_exposure_stay_within_the_plan(kept: tuple[ControlPlan, dict[str, np.ndarray]]) -> None:
    """Releases, frauds, money and loss are as expected; no day exceeds its hard limits, and the cap rarely cuts."""
    plan, found = kept
    assert found["releases"].mean() == pytest.approx(plan.releases, rel=0.05)
    assert found["frauds"].mean() == pytest.approx(at_end(plan).frauds, rel=0.15)
    assert found["money"].mean() == pytest.approx(plan.money, rel=0.1)
    assert found["loss"].mean() == pytest.approx(plan.loss, rel=0.2)
    assert found["most"].max() <= plan.per_day == 15
    assert found["worst"].max() <= plan.per_day * plan.max_amount  # type: ignore[operator]
    assert (found["closed"] > 0).mean() <= plan.overload + 0.1


def test_every_alert_to_come_has_a_chance_up_to_the_cap() -> None:
    """Strata meet without gap or overlap: below the cap each alert has one chance, above it none."""
    plan = plan_for(Control(per_day=8, max_amount=2_000.0))
    rng = np.random.default_rng(0)
    score, amount = rng.normal(0, 4, 5_000), rng.lognormal(6, 2, 5_000)
    score[:3], amount[:3] = plan.strata[-1].score[0], (0.0, 2_000.0, np.nextafter(2_000.0, 3_000.0))
    chance = plan.chances(score, amount)
    assert (np.isnan(chance) == (amount > 2_000)).all()
    for at in range(0, 5_000, 97):
        inside = [
            part.chance[-1]
            for part in plan.strata
            if (part.score[0] is None or score[at] >= part.score[0])
            and (part.score[1] is None or score[at] < part.score[1])
            and (part.amount[0] is None or amount[at] >= part.amount[0])
            and amount[at] < (part.amount[1] or np.inf)
        ]
        assert (inside == [] and amount[at] >= 2_000) or inside == [chance[at]]


def test_what_lies_above_the_cap_is_only_bounded() -> None:
    """A lower cap on amounts costs less and leaves more money of which nothing is claimed."""
    wide, tight = plan_for(WIDE), plan_for(Control(per_day=15, max_amount=600.0, days=DAYS * DAY))
    units = draw(1, LOG)[0]
    above = units.rule & (units.value > 600)
    assert tight.gap_alerts == pytest.approx(above.sum() / units.rule.sum())
    assert at_end(tight).bounded == pytest.approx(units.value[above].sum() / LOG * DAYS)
    assert tight.most == 15 * 600.0 * DAYS and tight.loss < wide.loss
    assert at_end(tight).passes < at_end(wide).passes


def test_caps_left_open_are_chosen_with_the_least_limit_that_settles() -> None:
    """Of all pairs tried, the plan takes the least limit that is likely settled by its end; the recipe's own hold."""
    plan = plan_for(Control(days=DAYS * DAY))
    enough = [option for option in plan.options if option.settled_days is not None and option.settled_days <= DAYS]
    best = min(enough, key=lambda option: option.most_per_day)
    assert (plan.max_amount, plan.per_day, plan.per_day_from) == (best.max_amount, best.per_day, "chosen")
    assert plan.settled_days is not None and plan.settled_days <= DAYS
    fixed = plan_for(Control(per_day=6))
    assert {option.per_day for option in fixed.options} == {6} and fixed.per_day_from == "recipe"


def test_dates_follow_from_releases_and_maturity() -> None:
    """Releases begin at midnight after now, and a checkpoint's outcomes are known a maturity after its releases."""
    plan = plan_for(WIDE)
    assert plan.start == "2025-10-10T00:00:00Z"
    assert [check.forecast.days for check in plan.checkpoints if check.forecast.days % 7 == 0] == [7, 14]
    assert plan.checkpoints[-1].until == "2025-10-24T00:00:00Z" and plan.checkpoints[-1].known == "2025-11-13T00:00:00Z"
    growing = [check.forecast for check in plan.checkpoints]
    for early, late in pairwise(growing):
        assert early.releases < late.releases and early.half_width < late.half_width


def test_a_model_no_better_is_not_promised_a_pass() -> None:
    """Where both sides catch alike, neither word is likely within a year, and the plan says what stands in the way."""
    plan = plan_for(WIDE, gain=0.175)
    assert at_end(plan).passes < 0.1
    assert plan.settled is None and plan.obstacle.startswith("the difference is small")


def test_a_worse_model_is_promised_a_fail() -> None:
    """Where the model catches nothing of worth, the plan expects FAIL once releases show it."""
    plan = plan_for(WIDE, gain=0.01)
    last = plan.checkpoints[-1].forecast
    assert last.fails > 0.6 and last.passes == 0.0


def test_nothing_is_planned_where_nothing_would_be_learnt() -> None:
    """A rule that stops nothing, no alert of the rule alone, or a cap below every alert: a sentence and no strata."""
    units = draw(1, LOG)[0]
    spec = Backtest(control=Control(max_amount=0.01))
    never = plan_control(units, Backtest(), LOG, now=NOW, matures_after=DAY, enforced=False)
    alike = plan_control(replace(units, model=units.rule | units.model), Backtest(), LOG, now=NOW, matures_after=DAY)
    small = plan_control(units, spec, LOG, now=NOW, matures_after=DAY)
    for plan, word in (
        (never, "stops nothing"),
        (alike, "nothing that the model would let through"),
        (small, "release cap"),
    ):
        assert not plan.needed and word in plan.why and plan.strata == ()
        assert lines(plain(plan)) == [f"control plan: {plan.why}"]  # type: ignore[arg-type]
        assert plan.why in markdown(plain(plan), "x")  # type: ignore[arg-type]


def test_what_went_through_anyway_is_not_released() -> None:
    """Alerts of the rule alone that were held and let go are seen already: they are no part of the ramp, yet count."""
    units, fraud = draw(1, LOG)
    gone = units.rule & (np.arange(len(units)) % 2 == 0)
    seen = replace(
        units,
        closed=units.closed & ~gone,
        weight=np.where(gone, 1.0, units.weight),
        fraud=np.where(gone, fraud, units.fraud).astype(np.int8),
    )
    spec = Backtest(control=WIDE)
    some, all_ = (plan_control(one, spec, LOG, now=NOW, matures_after=DAY) for one in (seen, units))
    assert some.alerts_per_day == pytest.approx((units.rule & ~gone).sum() / LOG)
    assert at_end(some).difference == pytest.approx(at_end(all_).difference, rel=0.1)
    assert at_end(some).half_width < at_end(all_).half_width


def test_without_amounts_the_plan_counts_frauds() -> None:
    """Where no amount is logged there is no cap on it, and every alert may be released."""
    units = draw(1, LOG)[0]
    ones = replace(units, value=np.ones(len(units)))
    plan = plan_control(ones, Backtest(control=Control(max_amount=0.5)), LOG, now=NOW, matures_after=DAY, priced=False)
    assert plan.needed and plan.max_amount is None and plan.gap_alerts == 0
    assert not np.isnan(plan.chances(ones.score[ones.rule], ones.value[ones.rule])).any()


def test_the_words_are_the_facts() -> None:
    """Table and page survive JSON and name the caps, the dates, the shares' source and every stratum."""
    plan = json.loads(json.dumps(plain(plan_for(Control(per_day=9, max_amount=2_000.0), reviewed=False))))
    table, page = "\n".join(lines(plan)), markdown(plan, "demo")
    for text in (table, page):
        assert "at most 9 releases a day" in text and "none above 2,000" in text and plan["start"][:10] in text
    assert "a quarter of them is assumed to be fraud" in page and f"--set train.test={plan['settled_days']}d" in page
    assert page.count("\n|") >= len(plan["strata"]) + len(plan["stages"]) + len(plan["checkpoints"]) + 6
    assert all(len(line) <= 120 for line in lines(plan) if line.startswith("  "))


def test_a_log_without_known_frauds_is_told_so() -> None:
    """Before any outcome is known the ramp stands, and nothing is said of how likely a word is."""
    units = draw(1, LOG, reviewed=False)[0]
    young = replace(units, fraud=np.full(len(units), -1, np.int8))
    plan = plan_control(young, Backtest(), LOG, now=NOW, matures_after=DAY)
    assert plan.needed and plan.blind and plan.strata
    assert "nothing says how likely" in lines(plain(plan))[-1]  # type: ignore[arg-type]


def facts_of(plan: ControlPlan) -> dict[str, Any]:
    """The plan as its file holds it."""
    found: dict[str, Any] = json.loads(json.dumps(plain(plan)))
    return found


@pytest.mark.parametrize(("gain", "word", "other"), [(0.55, "PASS", "FAIL"), (0.001, "FAIL", "PASS")])
def test_a_plan_says_which_word_is_likely(gain: float, word: str, other: str) -> None:
    """What is likely settled is named by the larger of the plan's own two chances."""
    plan = plan_for(Control(per_day=60, max_amount=20_000.0, days=60 * DAY), gain=gain)
    facts = facts_of(plan)
    last = next(one["forecast"] for one in facts["checkpoints"] if one["forecast"]["days"] == plan.settled_days)
    assert (last["passes"] > last["fails"]) == (word == "PASS")
    for text in (lines(facts)[-1], markdown(facts, "demo")):
        assert f"REPLACE is likely settled, as {word}, by {str(plan.settled)[:10]}" in text
        assert f"as {other}" not in text


def open_verdict(text: str = "120 releases of rule-only alerts, at least 9 more days") -> Verdict:
    return Verdict("replace", "INCONCLUSIVE", ("it is open",), {}, Settle(9, 120, text))


def test_the_wait_is_that_of_the_plan_beside_it() -> None:
    """Headline and plan name one date and one number of releases; what else is waited for stays."""
    plan = plan_for(WIDE)
    found = paced(open_verdict(), plan)
    last = next(check.forecast for check in plan.checkpoints if check.forecast.days == plan.settled_days)
    assert (found.settle.days, found.settle.releases) == (plan.settled_days, round(last.releases))
    said = headline(found, open_verdict())
    assert f"about {round(last.releases):,} releases" in said and "within the plan's caps" in said
    assert f"likely PASS by {str(plan.settled)[:10]}" in said
    frozen = judge_void().settle.text
    assert paced(open_verdict(frozen), plan).settle.text == f"{frozen.split(', ')[0]}, {found.settle.text}"


def judge_void() -> Verdict:
    """REPLACE where the model raises far more alerts than the rule."""
    units = draw(1, LOG)[0]
    return judge_replace(replace(units, rule=units.rule & (np.arange(len(units)) % 3 == 0)), Backtest(draws=50), LOG)[0]


def test_a_wait_without_caps_is_called_so() -> None:
    """Where the plan settles nothing within a year, or cannot say, the wait is told as one without caps."""
    text = open_verdict().settle.text
    never = plan_for(WIDE, gain=0.175)
    for plan, rest in (
        (never, "not within a year"),
        (replace(never, blind=True), "the release plan cannot say how long"),
    ):
        found = paced(open_verdict(), plan).settle
        assert found == Settle(9, 120, f"{text} (without caps; within the plan's caps {rest})")


def test_a_wait_that_no_plan_speaks_of_stays() -> None:
    """Without a plan, with none needed, for a settled word or one that waits for no release, nothing changes."""
    plan, verdict = plan_for(WIDE), open_verdict()
    assert paced(verdict, None) == verdict == paced(verdict, replace(plan, needed=False))
    for other in (replace(verdict, word="PASS"), replace(verdict, settle=Settle(9, None, "matured decisions"))):
        assert paced(other, plan) == other


@pytest.mark.parametrize("caps", [Control(per_day=9), WIDE])
def test_amounts_beyond_any_number_leave_a_plan_with_gaps(caps: Control) -> None:
    """An amount whose square is no number leaves widths unknown and nothing likely; the plan is told all the same."""
    units = draw(1, LOG)[0]
    huge = replace(units, value=np.where(np.arange(len(units)) == np.flatnonzero(units.rule)[3], 1e300, units.value))
    plan = plan_control(huge, Backtest(draws=50, control=caps), LOG, now=NOW, matures_after=DAY)
    facts = facts_of(plan)
    assert at_end(plan).passes == at_end(plan).fails == 0.0 and facts["settled"] is None
    for text in ("\n".join(lines(facts)), markdown(facts, "demo")):
        assert "unknown" in text and "None" not in text and "nan" not in text


def test_missing_numbers_are_told_as_unknown() -> None:
    """Whatever number a plan's file lacks, table and page are still written."""
    facts = facts_of(plan_for(WIDE))
    facts |= dict.fromkeys(("alerts_per_day", "gap_alerts", "gap_value", "releases", "money", "loss", "most"))
    for name, kept_ in (("stages", ("start", "days")), ("options", ("per_day",))):
        facts[name] = [{key: part[key] if key in kept_ else None for key in part} for part in facts[name]]
    for check in facts["checkpoints"]:
        check["forecast"] = {key: value if key == "days" else None for key, value in check["forecast"].items()}
    for part in facts["strata"]:
        part |= {"alerts_per_day": None, "fraud_share": None, "chance": [None]}
    page = markdown(facts, "demo")
    assert "as PASS or FAIL" in page and "None" not in page and "about unknown releases" in page
    assert "the rule alone raises about unknown alerts a day" in lines(facts)[0]


def test_one_of_a_thing_is_told_as_one() -> None:
    """A day and a release are singular."""
    facts = facts_of(plan_for(Control(per_day=1, max_amount=2_000.0, days=DAY)))
    assert lines(facts)[0].startswith("control plan: 1 day from") and "at most 1 release a day" in lines(facts)[0]
