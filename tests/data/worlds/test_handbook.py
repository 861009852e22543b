"""The small card world has the public file's columns, its shares of fraud and its three scenarios."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.check import check
from riskml.data.tables import read_tables
from riskml.data.worlds import make_world
from riskml.data.worlds.handbook import make
from riskml.data.worlds.write import write_world
from riskml.errors import UsageError
from riskml.features.compile import compile_plan
from riskml.features.linter import lint
from riskml.recipe.parse import load_recipe

RECIPE = Path(__file__).parents[3] / "recipes" / "handbook_cards.toml"


@pytest.fixture(scope="module")
def cards() -> pd.DataFrame:
    """The default world's one table."""
    return make().tables["fdh_raw"]


def test_same_seed_same_rows() -> None:
    """Two worlds of one seed are equal, another seed's is not; the index of worlds knows it."""
    one, two = make_world("handbook_cards", 3, 60), make(3, 60)
    pd.testing.assert_frame_equal(one.tables["fdh_raw"], two.tables["fdh_raw"])
    assert not one.tables["fdh_raw"].TX_AMOUNT.equals(make(4, 60).tables["fdh_raw"].TX_AMOUNT)


@pytest.mark.parametrize("wrong", [{"users": 3}, {"seed": -1}])
def test_impossible_worlds_are_refused(wrong: dict[str, int]) -> None:
    """Too few customers or a negative seed give one error with a hint."""
    with pytest.raises(UsageError) as caught:
        make(**wrong)
    assert caught.value.hint


def test_columns_and_clock(cards: pd.DataFrame) -> None:
    """The public file's nine columns, sorted by a time without a zone, over 183 days from April 2018."""
    first = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
    assert list(cards.columns) == [*first, "TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD", "TX_FRAUD_SCENARIO"]
    assert cards.TX_DATETIME.is_monotonic_increasing and cards.TX_DATETIME.dt.tz is None
    since = (cards.TX_DATETIME - pd.Timestamp("2018-04-01")).dt.total_seconds()
    assert (since == cards.TX_TIME_SECONDS).all() and (since // 86_400 == cards.TX_TIME_DAYS).all()
    assert cards.TX_TIME_DAYS.max() == 182 and cards.TRANSACTION_ID.is_unique


def test_rates_are_those_published(cards: pd.DataFrame) -> None:
    """About 1.92 transactions a customer and day, mean amount 54, 0.84 % frauds: as in the public 1.75 million."""
    assert len(cards) / 183 / 500 == pytest.approx(1.92, rel=0.06)
    assert cards.TX_AMOUNT.mean() == pytest.approx(53.6, rel=0.06)
    shares = [make(seed, 300).tables["fdh_raw"].TX_FRAUD.mean() for seed in range(4)]
    assert np.mean(shares) == pytest.approx(0.0084, rel=0.35)


def test_three_scenarios(cards: pd.DataFrame) -> None:
    """Amounts above 220 are frauds; a taken-over terminal is all fraud for at most 28 days; leaked cards spend more."""
    assert (cards.TX_FRAUD_SCENARIO > 0).equals(cards.TX_FRAUD == 1)
    assert (cards[cards.TX_AMOUNT > 220].TX_FRAUD == 1).all()
    assert (cards[cards.TX_FRAUD_SCENARIO == 1].TX_AMOUNT > 220).all()
    broken = cards[cards.TX_FRAUD_SCENARIO == 2].groupby("TERMINAL_ID").TX_TIME_DAYS.agg(["min", "max"])
    assert len(broken) > 10
    for terminal, (first, last) in broken[broken["max"] - broken["min"] < 28].iterrows():
        rows = cards[cards.TERMINAL_ID.eq(terminal) & cards.TX_TIME_DAYS.between(first, last)]
        assert rows.TX_FRAUD.all()
    leaked = cards[cards.TX_FRAUD_SCENARIO == 3]
    usual = cards[cards.TX_FRAUD == 0].groupby("CUSTOMER_ID").TX_AMOUNT.mean()
    assert (leaked.TX_AMOUNT / leaked.CUSTOMER_ID.map(usual)).median() == pytest.approx(5, rel=0.25)


def test_the_recipe_reads_it_without_a_breach(tmp_path: Path) -> None:
    """`riskml check` of the shipped recipe finds nothing that breaks a model on a small world."""
    write_world(make(users=60), tmp_path)
    recipe = load_recipe(RECIPE, [f"events.path={tmp_path / 'fdh_raw.parquet'}"])
    plan = compile_plan(recipe)
    found = check(recipe, read_tables(recipe), plan, lint(plan, recipe))
    assert [finding.message for finding in found.findings if finding.level == "breach"] == []
