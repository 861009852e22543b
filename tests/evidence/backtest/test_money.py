"""Net value: its terms have the right sign, and it rests on the parts the verdict rests on."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.evidence.backtest.money import net_value
from riskml.evidence.backtest.replace import measure
from riskml.evidence.backtest.units import Units, pack
from riskml.recipe.spec import DAY, Backtest, Costs


def world(*, chance: float | None, enforced: bool = True) -> Units:
    """120 model alerts of which 60 are frauds of 100 each, and 80 rule alerts, all of them good."""
    at = np.arange(1000)
    rule = (at >= 120) & (at < 200)
    return pack(
        model=at < 120,
        extra=rule & False,
        rule=rule,
        enforced=enforced,
        released=rule & (at < 130) & (chance is not None),
        chance=np.where(rule, np.nan if chance is None else chance, np.nan),
        fraud=((at < 60) | (at >= 940)).astype(np.int8),
        alert_fraud=np.full(1000, -1, np.int8),
        value=np.full(1000, 100.0),
        time=at * DAY // 50,
        groups=at[None, :],
        ways=("row",),
    )


def spec(**costs: tuple[float, float]) -> Backtest:
    return Backtest(draws=200, costs=Costs(**costs))


def test_every_term_has_its_sign() -> None:
    """Frauds caught count for, insults and reviews of more alerts against, recovery and leaks shrink the gain."""
    units = world(chance=None, enforced=False)
    # model minus rule: 6,000 of value, 60 - 80 insults, 120 - 80 alerts
    for costs, wanted in (
        ({"insult": (10, 10)}, 6000 + 200),
        ({"review": (5, 5)}, 6000 - 5 * 40),
        ({"insult": (10, 10), "review": (5, 5)}, 6000 + 200 - 200),
        ({"review": (0, 0), "recovery": (0.5, 0.5), "stopped": (0.8, 0.8)}, 2400),
    ):
        found = net_value(units, spec(**costs))  # type: ignore[arg-type]
        assert found is not None and found.difference.estimate == pytest.approx(wanted)
        assert found.difference.low < wanted < found.difference.high
    dear = net_value(units, spec(review=(1000, 1000)))
    assert dear is not None and dear.difference.low < -34_000 < dear.difference.high < 0


@pytest.mark.parametrize(("chance", "mark"), [(None, "unknown"), (0.01, "estimated"), (0.125, "estimated")])
def test_it_is_no_surer_than_the_verdict(chance: float | None, mark: str) -> None:
    """Stopped alerts that releases only bound leave net value bounded, and as wide as the value itself."""
    units = world(chance=chance)
    found, value = net_value(units, spec(review=(0, 0))), measure(units, spec()).value
    assert found is not None and np.isnan(found.difference.estimate) and np.isnan(found.break_even_insult)
    assert found.difference.mark == value.mark == mark
    assert (found.difference.low, found.difference.high) == pytest.approx((value.low, value.high))
