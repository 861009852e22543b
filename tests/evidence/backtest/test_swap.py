"""The swap table: every cell has its mark, stays within what there is, and adds up where all was seen."""

from __future__ import annotations

import numpy as np
import pytest

from riskml.evidence.backtest.swap import SwapRow, saved, swap_table
from riskml.recipe.spec import Backtest
from tests.evidence.backtest.test_segments import made

SPEC = Backtest(draws=200)
N = 400
PLACE = np.arange(N)
MODEL, RULE = PLACE % 4 < 2, PLACE % 2 == 0
FRAUD = (PLACE % 5 == 0) * 1.0


def table(**change: object) -> dict[str, SwapRow]:
    fraud = change.pop("fraud", FRAUD)
    assert isinstance(fraud, np.ndarray)
    return {row.name: row for row in swap_table(made(MODEL, RULE, fraud, **change), SPEC)}


def test_quarters_add_up_where_all_was_seen() -> None:
    """Events, episodes, frauds and money of the quarters are those of the whole, each marked observed."""
    rows = table(events=np.full(N, 3))
    assert list(rows) == ["both", "model only", "rule only", "neither"]
    assert sum(row.units for row in rows.values()) == N and sum(row.events for row in rows.values()) == 3 * N
    assert sum(row.frauds.estimate for row in rows.values()) == FRAUD.sum()
    assert sum(row.value.estimate for row in rows.values()) == 10 * FRAUD.sum()
    good = (FRAUD == 0) & MODEL & ~RULE
    assert rows["model only"].insults.estimate == good.sum()
    for row in rows.values():
        assert {row.frauds.mark, row.value.mark, row.insults.mark, row.counted} == {"observed"}


def test_stopped_and_unknown_outcomes_are_marked() -> None:
    """Stopped without a chance is unknown, released by chance and partly unknown are estimated."""
    rows = table(enforced=True)
    assert rows["rule only"].frauds.mark == rows["both"].value.mark == "unknown"
    assert rows["model only"].frauds.mark == "observed" and np.isnan(rows["rule only"].frauds.estimate)
    released = RULE & (PLACE % 3 == 0)
    drawn = table(enforced=True, chance=np.where(RULE, 1 / 3, np.nan), released=released)
    assert drawn["rule only"].frauds.mark == "estimated" and drawn["rule only"].releases == (released & ~MODEL).sum()
    dim = table(fraud=np.where(PLACE % 8 == 1, -1.0, FRAUD))
    assert dim["model only"].frauds.mark == "estimated" and dim["both"].frauds.mark == "observed"
    assert dim["model only"].frauds.low < dim["model only"].frauds.estimate < dim["model only"].frauds.high


@pytest.mark.parametrize("seed", range(4))
def test_no_cell_leaves_what_there_is(seed: int) -> None:
    """Counts between none and all, money between none and all of it, shares between 0 and 1, however few clusters."""
    rng = np.random.default_rng(seed)
    n = 40
    rule = rng.random(n) < 0.5
    units = made(
        rng.random(n) < 0.5, rule, (rng.random(n) < 0.3) * 1.0, enforced=True, chance=np.where(rule, 0.3, np.nan),
        released=rule & (rng.random(n) < 0.3), groups=rng.integers(0, 4, n)[None, :], value=rng.lognormal(3, 2, n),
    )  # fmt: skip
    for row in swap_table(units, SPEC):
        for cell, most in ((row.frauds, row.units), (row.insults, row.units), (row.value, units.value.sum())):
            assert cell.low >= 0 and cell.high <= most + 1e-9
    for one in saved(units, SPEC):
        assert one.share.low >= 0 and one.share.high <= 1


def test_saved_shares_over_unknown_outcomes_are_estimates() -> None:
    """Shares of money are observed only where every outcome was."""
    dim = np.where(PLACE == 9, -1.0, FRAUD)
    for fraud, mark in ((FRAUD, "observed"), (dim, "estimated")):
        assert {one.share.mark for one in saved(made(MODEL, RULE, fraud), SPEC)} == {mark}
