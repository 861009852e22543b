"""The simulated checkout keeps its promises: accounting, stated figures, a pattern among look-alikes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.worlds import Made, make_world
from riskml.data.worlds.checkout import make
from riskml.data.worlds.checkout.settings import RULE
from riskml.errors import UsageError

SAMPLE = Path(__file__).parents[3] / "sample_data"
TABLES = ("checkouts", "authorisations", "bins", "labels")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2025-11-11", tz="UTC")
RULE_DAY = 150


@pytest.fixture(scope="module")
def sample() -> Made:
    """The committed files."""
    tables = {name: pd.read_parquet(SAMPLE / "guest_checkout" / f"{name}.parquet") for name in TABLES}
    return Made(tables, pd.read_parquet(SAMPLE / "guest_checkout_truth.parquet"))


@pytest.fixture(scope="module")
def joined(sample: Made) -> pd.DataFrame:
    """Purchases beside the truth; `day` counts from the start."""
    rows = sample.tables["checkouts"].merge(sample.truth, on="event_id", validate="one_to_one")
    return rows.assign(day=(rows.event_time - START) / DAY)


@pytest.fixture(scope="module")
def told(sample: Made, joined: pd.DataFrame) -> pd.DataFrame:
    """Label rows beside the purchases they speak of."""
    return sample.tables["labels"].merge(joined, on="event_id", suffixes=("", "_true"), validate="many_to_one")


def _auc(score: pd.Series, positive: pd.Series) -> float:
    """Area under the ROC curve by ranks, whichever way the score points."""
    ranks, ones = score.rank(), int(positive.sum())
    area = (ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(ranks) - ones))
    return max(float(area), 1 - float(area))


def test_same_arguments_same_world() -> None:
    """Two worlds of one seed are equal; another seed gives another one."""
    first, again, other = make(3, 600), make_world("guest_checkout", 3, 600), make(4, 600)
    for name in TABLES:
        pd.testing.assert_frame_equal(first.tables[name], again.tables[name])
        assert not first.tables[name].equals(other.tables[name])
    pd.testing.assert_frame_equal(first.truth, again.truth)


def test_committed_files_match_their_fingerprint_and_are_small() -> None:
    """The committed files are those `make.py` wrote, below 1.8 MB together."""
    stated = json.loads((SAMPLE / "fingerprint.json").read_text())
    names = [*(f"guest_checkout/{name}.parquet" for name in TABLES), "guest_checkout_truth.parquet"]
    contents = {name: (SAMPLE / name).read_bytes() for name in names}
    assert {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()} == {
        name: stated[name] for name in names
    }
    assert sum(map(len, contents.values())) < 1.8e6


def test_the_default_world_is_the_committed_one(sample: Made) -> None:
    """`make()` gives the committed purchases row by row."""
    pd.testing.assert_frame_equal(make().tables["checkouts"], sample.tables["checkouts"], check_dtype=False)


@pytest.mark.parametrize(("seed", "users"), [(-1, 1000), (7, 20)])
def test_impossible_worlds_are_refused(seed: int, users: int) -> None:
    """A negative seed or a world too small for a crew gives one error with a hint."""
    with pytest.raises(UsageError) as caught:
        make(seed, users)
    assert caught.value.hint


def test_tables_scale_with_users() -> None:
    """Four times the buyers make about four times the rows, at about the same share of stolen cards."""
    small, large = make(5, 1_500), make(5, 6_000)
    for name in ("checkouts", "authorisations"):
        assert 3.4 < len(large.tables[name]) / len(small.tables[name]) < 4.6
    assert large.truth.is_fraud.mean() == pytest.approx(small.truth.is_fraud.mean(), rel=0.5)


def test_rows_are_sorted_and_ids_unique(sample: Made) -> None:
    """Each table is sorted by its time, ids are unique, times are UTC microseconds inside the 374 days."""
    clocks = {"checkouts": "event_time", "authorisations": "auth_time", "bins": "since", "labels": "known_at"}
    for name, column in clocks.items():
        times = sample.tables[name][column]
        assert times.is_monotonic_increasing and str(times.dtype) == "datetime64[us, UTC]"
        assert times.max() < START + 374 * DAY
        assert name == "bins" or times.min() >= START
    assert sample.tables["checkouts"].event_id.is_unique
    assert sample.tables["authorisations"].auth_id.is_unique
    assert not sample.tables["bins"].duplicated(["card_bin", "since"]).any()
    assert not sample.tables["labels"].duplicated(["event_id", "label_source"]).any()


def test_every_window_of_the_recipe_has_crews(joined: pd.DataFrame) -> None:
    """Train (before day 122), calibrate (178-220) and test (276-318) each hold many independent thieves."""
    stolen = joined[joined.is_fraud == 1]
    assert stolen[stolen.day < 122].crew.nunique() >= 60
    assert stolen[stolen.day.between(178, 220)].crew.nunique() >= 35
    assert stolen[stolen.day.between(276, 318) & (stolen.final_action == "allow")].crew.nunique() >= 40
    assert 0.03 < joined.is_fraud.mean() < 0.08
    assert stolen.groupby("crew").size().max() < 0.05 * len(stolen)


def test_the_rule_is_logged_as_it_acted(joined: pd.DataFrame) -> None:
    """Its text over the log agrees in 99.9 % of rows; some 2 % are let through; chances are logged where it fired."""
    assert RULE == "amount_usd > 250 and ip_country != card_country"
    known = joined.card_country.notna()
    replay = (joined.amount_usd > 250) & (joined.ip_country != joined.card_country) & known & (joined.day >= RULE_DAY)
    assert not (joined.rule_fired & ~replay).any()
    assert (replay == joined.rule_fired).mean() > 0.999
    assert (joined.release_chance.notna() == joined.rule_fired).all()
    released = joined.rule_fired & ~joined.control_ids.fillna("").str.contains("temp_rule")
    assert 0.005 < released.sum() / joined.rule_fired.sum() < 0.05
    assert ((joined.final_action == "block") == joined.control_ids.notna()).all()


def test_the_rule_catches_some(joined: pd.DataFrame) -> None:
    """In the test window it fires on 23 % of what thieves ask for, and 36 % of its alerts are right."""
    test = joined[joined.day.between(276, 318)]
    assert test[test.is_fraud == 1].rule_fired.mean() == pytest.approx(0.23, abs=0.01)
    assert test[test.rule_fired].is_fraud.mean() == pytest.approx(0.36, abs=0.01)


def test_chargebacks_come_in_weekly_files(told: pd.DataFrame) -> None:
    """Chargebacks are known on Tuesdays at 06:00 only, median 22 days after the purchase, 95 % within 56 days."""
    back = told[told.label_source.isin(["chargeback", "representment"])]
    assert (back.known_at.dt.day_of_week == 1).all()
    assert (back.known_at.dt.strftime("%H:%M:%S.%f") == "06:00:00.000000").all()
    first = back[(back.label_source == "chargeback") & (back.day < 374 - 120)]
    waited = (first.known_at - first.event_time).dt.total_seconds() / 86_400
    assert waited.median() == pytest.approx(22, abs=1)
    assert (waited <= 56).mean() == pytest.approx(0.95, abs=0.012)
    assert waited.min() > 1 and waited.max() <= 120
    assert (first.final_action == "allow").all() and (first.is_fraud == 1).all()


def test_a_quarter_is_friendly_fraud(joined: pd.DataFrame, told: pd.DataFrame) -> None:
    """One chargeback in four is by the genuine buyer; three in ten of these are won back, and no other."""
    back = told[told.label_source == "chargeback"]
    assert (back.is_fraud_true == 0).mean() == pytest.approx(0.25, abs=0.015)
    assert (back[back.is_fraud_true == 0].friendly == 1).all()
    assert (joined[joined.is_fraud == 1].friendly == 0).all()
    won = told[told.label_source == "representment"]
    assert (won.is_fraud == 0).all() and (won.friendly == 1).all()
    old = joined[(joined.friendly == 1) & (joined.day < 374 - 200)]
    assert old.event_id.isin(won.event_id).mean() == pytest.approx(0.30, abs=0.06)
    lost = joined[(joined.is_fraud == 1) & (joined.final_action == "allow")]
    assert lost.chargeback_days.isna().mean() == pytest.approx(0.08, abs=0.03)


def test_other_routes(told: pd.DataFrame) -> None:
    """Analysts see nearly all alerts and err in one of ten; the rule marks all it blocks and nothing else."""
    seen = told[told.label_source == "analyst"]
    assert seen.rule_fired.all()
    assert (seen.is_fraud != seen.is_fraud_true).mean() == pytest.approx(0.10, abs=0.03)
    assert (seen.known_at - seen.event_time).dt.total_seconds().median() == pytest.approx(5 * 3600, rel=0.2)
    marked = told[told.label_source == "rule_block"]
    assert marked.control_ids.str.contains("temp_rule").all() and (marked.is_fraud == 1).all()


def test_each_purchase_has_its_approval(sample: Made, joined: pd.DataFrame) -> None:
    """Every purchase follows one approved attempt of its card by a second; refusals have a code, approvals none."""
    tried = sample.tables["authorisations"]
    passed = tried[tried.approved == 1]
    assert (tried.code.isna() == (tried.approved == 1)).all()
    later = passed.auth_time + pd.Timedelta(seconds=1)
    approved = sorted(zip(later, passed.card_hash, passed.amount_usd, strict=True))
    assert approved == sorted(zip(joined.event_time, joined.card_hash, joined.amount_usd, strict=True))
    assert 0.15 < (tried.approved == 0).mean() < 0.30


def test_bins_hold_as_of(sample: Made, joined: pd.DataFrame) -> None:
    """Every purchase has a range in force; the gateway's old list knows no young range and errs on a few."""
    bins = sample.tables["bins"]
    rows = pd.merge_asof(joined, bins, left_on="event_time", right_on="since", by="card_bin", allow_exact_matches=False)
    assert rows.kind.notna().all()
    young = rows.card_bin.map(bins.groupby("card_bin").since.min()) > START
    assert rows.card_country.isna().equals(young)
    assert 0.01 < young.mean() < 0.10
    assert 0.002 < (rows.country != rows.card_country)[~young].mean() < 0.06
    assert bins.card_bin.duplicated().sum() >= 10


def test_look_alikes(joined: pd.DataFrame) -> None:
    """Honest people share devices, lines and wallets, come from abroad, try again and buy often, as thieves do."""
    honest = joined[joined.is_fraud == 0]
    cards = honest.groupby("device_id").card_hash.nunique()
    assert (cards >= 3).sum() > 300 and (cards >= 30).sum() >= 10
    assert (honest.groupby("ip").card_hash.nunique() >= 50).sum() >= 20
    assert (honest.groupby("wallet").card_hash.nunique() >= 40).sum() >= 10
    abroad = honest[honest.ip_country != honest.card_country]
    assert len(abroad) > 2 * joined.is_fraud.sum()
    assert (joined.origin == "reseller").mean() == pytest.approx(0.04, abs=0.015)
    assert (honest.amount_usd <= 25).sum() > 3 * (joined[joined.is_fraud == 1].amount_usd <= 25).sum()
    assert joined.device_id.isna().mean() == pytest.approx(0.04, abs=0.005)


def _before(rows: pd.DataFrame, past: pd.DataFrame, key: str, clock: str, window: pd.Timedelta) -> pd.DataFrame:
    """Pairs of a row (its position in `now`) and each past row of its key within the window."""
    asked = pd.DataFrame({"now": np.arange(len(rows)), "at": rows.event_time.to_numpy(), key: rows[key].to_numpy()})
    pairs = asked.dropna(subset=[key]).merge(past, on=key)
    return pairs[(pairs[clock] < pairs["at"]) & (pairs[clock] >= pairs["at"] - window)]


def test_the_pattern_is_in_the_history(sample: Made, joined: pd.DataFrame) -> None:
    """Before a thief's purchase his device or wallet saw other countries' cards, and refusals, far more often."""
    rows = joined[joined.day > 60].groupby("is_fraud").sample(400, random_state=1)
    refused = sample.tables["authorisations"].query("approved == 0")
    stolen = rows.is_fraud.to_numpy() == 1
    declined = np.zeros(len(rows), dtype=bool)
    declined[_before(rows, refused, "card_hash", "auth_time", DAY).now] = True
    assert declined[stolen].mean() > 2 * declined[~stolen].mean()
    mixed = np.zeros(len(rows), dtype=bool)
    for key in ("device_id", "wallet"):
        past = _before(rows, joined.dropna(subset=["card_country"]), key, "event_time", 7 * DAY)
        mixed[past.now[past.card_country.to_numpy() != rows.card_country.iloc[past.now].to_numpy()]] = True
    assert mixed[stolen].mean() > 2 * mixed[~stolen].mean()
    assert mixed[stolen].mean() < 0.8


def test_no_column_gives_the_answer_away(joined: pd.DataFrame) -> None:
    """No single column of the log separates the stolen cards: AUC below 0.8, words learnt on the first 60 %."""
    early = joined.day < joined.day.quantile(0.6)
    stolen = joined.is_fraud == 1
    base = stolen[early].mean()
    hidden = {"is_fraud", "friendly", "crew", "origin", "episode", "loss_if_allowed_usd", "chargeback_days", "day"}
    columns = [name for name in joined.columns if name not in hidden]
    assert len(columns) == 18
    for name in columns:
        values = joined[name]
        if name in ("amount_usd", "release_chance"):
            score = values.fillna(-1)
        elif name in ("event_id", "event_time"):
            score = pd.Series(np.arange(len(joined)), index=joined.index)
        else:
            words = values.astype(object).where(values.notna(), "none")
            counts = stolen[early].groupby(words[early]).agg(["sum", "size"])
            score = words.map((counts["sum"] + 5 * base) / (counts["size"] + 5)).fillna(base).astype(float)
        assert _auc(score[~early], stolen[~early]) < 0.8, name
        assert _auc(values.isna().astype(float)[~early], stolen[~early]) < 0.6, name
