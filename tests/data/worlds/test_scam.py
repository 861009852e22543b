"""The scam world keeps its promises: determinism, accounting, silence of victims, and a pattern among look-alikes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.worlds import Made, make_world
from riskml.data.worlds.scam import RULE, make
from riskml.data.worlds.write import write_world
from riskml.errors import UsageError

SAMPLE = Path(__file__).parents[3] / "sample_data"
TABLES = ("withdrawals", "sessions", "changes", "deposits", "labels")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-04-09", tz="UTC")
RULE_START = pd.Timestamp("2026-07-28", tz="UTC")


@pytest.fixture(scope="module")
def sample() -> Made:
    """The committed files as a world."""
    tables = {name: pd.read_parquet(SAMPLE / "scam" / f"{name}.parquet") for name in TABLES}
    return Made(tables, pd.read_parquet(SAMPLE / "scam_truth.parquet"))


@pytest.fixture(scope="module")
def joined(sample: Made) -> pd.DataFrame:
    """Withdrawals without their duplicates, beside the truth; `day` counts from the start."""
    rows = sample.tables["withdrawals"].drop_duplicates("event_id").merge(sample.truth, on="event_id")
    assert len(rows) == len(sample.truth)
    return rows.assign(day=(rows.event_time - START) / DAY)


@pytest.fixture(scope="module")
def frauds(joined: pd.DataFrame) -> pd.DataFrame:
    """The scams among them."""
    return joined[joined.is_fraud == 1]


def _auc(score: pd.Series, fraud: pd.Series) -> float:
    """Chance that a fraud ranks above another row, either way round; ties count half, nulls rank lowest."""
    rank = score.fillna(score.min() - 1).rank()
    bad = int(fraud.sum())
    area = (rank[fraud == 1].sum() - bad * (bad + 1) / 2) / (bad * (len(fraud) - bad))
    return float(max(area, 1 - area))


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    """Two worlds of one seed write identical files; another seed does not."""
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        paths = write_world(make_world("scam", seed, 400), tmp_path / name, tmp_path / name / "truth.parquet")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert digests[0] == digests[1]
    assert all(left != right for left, right in zip(digests[0], digests[2], strict=True))


def test_committed_files_are_what_make_writes(tmp_path: Path, sample: Made) -> None:
    """The default world, written again, has the committed bytes; together they stay below 1.8 MB."""
    stated = json.loads((SAMPLE / "fingerprint.json").read_text())
    paths = write_world(make(), tmp_path / "scam", tmp_path / "scam_truth.parquet")
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == stated[str(path.relative_to(tmp_path))]
    assert sum(path.stat().st_size for path in paths) < 1.8e6
    assert set(sample.tables) == set(make(users=300).tables)


@pytest.mark.parametrize("wrong", [{"users": 3}, {"seed": -1}])
def test_impossible_worlds_are_refused(wrong: dict[str, int]) -> None:
    """A world too small for a crew gives one error with a hint."""
    with pytest.raises(UsageError) as caught:
        make(**wrong)
    assert caught.value.hint


def test_tables_scale_with_users() -> None:
    """Four times the users make about four times the rows, at the same share of frauds."""
    small, large = make(1, 800), make(1, 3200)
    for name in TABLES:
        assert 3.2 < len(large.tables[name]) / len(small.tables[name]) < 4.8
    assert large.truth.is_fraud.mean() == pytest.approx(small.truth.is_fraud.mean(), rel=0.35)


def test_rows_are_sorted_and_ids_unique(sample: Made) -> None:
    """Each table is sorted by its time, in UTC microseconds; ids repeat only in exact duplicates of withdrawals."""
    clocks = ("event_time", "session_time", "change_time", "deposit_time", "known_at")
    for name, clock in zip(TABLES, clocks, strict=True):
        frame = sample.tables[name]
        assert str(frame[clock].dtype) == "datetime64[us, UTC]"
        assert frame[clock].is_monotonic_increasing
        assert frame[clock].min() >= START and frame[clock].max() < START + 225 * DAY
        if "ingested_at" in frame:
            assert (frame.ingested_at > frame[clock]).all()
        if name not in ("withdrawals", "labels"):
            assert frame.iloc[:, 0].is_unique
    moves = sample.tables["withdrawals"]
    assert len(moves.drop_duplicates()) == moves.event_id.nunique()
    assert 0.0003 < moves.event_id.duplicated().mean() < 0.002
    assert sample.tables["labels"].event_id.isin(moves.event_id).all()


def test_a_session_is_known_only_when_it_has_ended(sample: Made) -> None:
    """How long a visit took is read after its end, so the call during a withdrawal is not seen by it."""
    visits = sample.tables["sessions"]
    assert (visits.ingested_at >= visits.session_time + pd.to_timedelta(visits.seconds, unit="s")).all()


def test_every_window_of_the_recipe_has_victims(frauds: pd.DataFrame) -> None:
    """Train (before day 73), calibrate (103-123) and test (153-195) hold enough to say something."""
    assert frauds[frauds.day < 73].victim.nunique() >= 80
    assert frauds[frauds.day.between(103, 123)].victim.nunique() >= 40
    assert frauds[frauds.day.between(153, 195)].victim.nunique() >= 130
    assert frauds.crew.nunique() >= 30
    assert frauds.groupby("crew").size().max() < 0.1 * len(frauds)


def test_the_data_dictionary_states_what_is_there(joined: pd.DataFrame, sample: Made) -> None:
    """Withdrawals, scams and victims of each window stand in README.md as they are counted here."""
    text = (SAMPLE / "README.md").read_text()
    for name, first, end in (("train", 0, 73), ("calibrate", 103, 123), ("test", 153, 195)):
        rows = joined[(joined.day >= first) & (joined.day < end)]
        scams = rows[rows.is_fraud == 1]
        assert f"| {name} | {first}-{end} | {len(rows):,} | {len(scams)} | {scams.victim.nunique()} |" in text
    total = f"{len(joined):,} withdrawals of {joined.user_id.nunique():,} customers"
    assert total in text and f"{len(sample.tables['labels']):,} label rows" in text


def test_money_adds_up(joined: pd.DataFrame, sample: Made) -> None:
    """No withdrawal exceeds its balance, and between two events of a user the balance moves by what was logged."""
    assert (joined.amount_usd <= joined.balance_usd + 0.005).all()
    left = joined[["user_id", "event_time", "balance_usd"]].assign(
        flow=-joined.amount_usd.where(joined.final_action == "allow", 0.0)
    )
    came = sample.tables["deposits"].rename(columns={"deposit_time": "event_time", "amount_usd": "flow"})
    both = pd.concat([left, came[["user_id", "event_time", "flow"]]])
    both = both.sort_values(["user_id", "event_time"], kind="stable")
    both["running"] = both.groupby("user_id").flow.cumsum() - both.flow
    opening = (both.balance_usd - both.running).groupby(both.user_id)
    assert ((opening.max() - opening.min()).dropna() < 0.02).all()


def test_the_rule_blocks_what_it_fires_on_but_for_logged_releases(joined: pd.DataFrame) -> None:
    """From its day on the rule's text agrees with its log in over 99.5 %; 3 in 100 alerts pass by a logged chance."""
    assert not joined[joined.event_time < RULE_START].rule_fired.any()
    live = joined[joined.event_time >= RULE_START]
    assert RULE.when == "amount_usd > 3000 and (address_age < 1d or address_age is null)"
    replay = (live.amount_usd > 3000) & ((live.address_age < 86_400) | live.address_age.isna())
    assert 0.995 < (replay == live.rule_fired).mean() < 1
    fired = joined[joined.rule_fired]
    assert (fired.release_chance == 0.03).all() and joined[~joined.rule_fired].release_chance.isna().all()
    assert 5 <= (fired.final_action == "allow").sum() <= 0.06 * len(fired)
    assert ((joined.final_action == "block") == (joined.control_ids == "temp_rule")).all()
    assert 0.12 < fired.is_fraud.mean() < 0.25


def test_half_of_the_victims_never_claim(frauds: pd.DataFrame, sample: Made) -> None:
    """Of victims who lost money half stay silent; the others need 20 days in the median, 40 in one case of ten."""
    lost = frauds[frauds.final_action == "allow"]
    speaks = lost.groupby("victim").claim_days.count() > 0
    assert speaks.mean() == pytest.approx(0.5, abs=0.06)
    assert lost.claim_days.median() == pytest.approx(20, abs=1.5)
    assert lost.claim_days.quantile(0.9) == pytest.approx(40, abs=3)
    said = sample.tables["labels"]
    assert set(said.label_source) == {"claim", "analyst", "linked", "rule_block"}
    never = lost[lost.claim_days.isna()]
    told = said[said.label_source.isin(["claim", "linked"]) & (said.is_fraud == 1)]
    assert never.event_id.isin(told.event_id).mean() < 0.15


def test_labels_err(sample: Made) -> None:
    """Coached victims fool the analyst: a quarter of reviewed scams is cleared; claims are mostly right."""
    told = sample.tables["labels"].merge(sample.truth, on="event_id", suffixes=("", "_true"))
    first = told[told.label_source == "analyst"].drop_duplicates("event_id")
    assert (first[first.is_fraud_true == 1].is_fraud == 0).mean() == pytest.approx(0.25, abs=0.08)
    right = told[told.is_fraud == 1].groupby("label_source").is_fraud_true.mean()
    assert right["claim"] > 0.9 and right["rule_block"] < 0.3


def test_no_column_tells_a_victim(joined: pd.DataFrame) -> None:
    """No raw column of the withdrawals ranks scams well: each has an area under the curve below 0.8."""
    clock = joined.assign(
        hour=joined.event_time.dt.hour,
        second=joined.event_time.dt.second,
        share=joined.amount_usd / joined.balance_usd,
        event=joined.event_id.str[1:].astype(int),
    )
    for name in ("amount_usd", "balance_usd", "account_days", "address_age", "hour", "second", "share", "event"):
        assert _auc(clock[name], joined.is_fraud) < 0.8, name
    for name in ("channel", "asset"):
        share = joined.groupby(name).is_fraud.mean()
        assert share.max() < 2.5 * joined.is_fraud.mean(), name
    for name in ("user_id", "device_id", "ip", "to_address"):
        ranks = joined[name].rank(method="dense")
        assert _auc(ranks, joined.is_fraud) < 0.6, name
        assert _auc(joined[name].isna().astype(float), joined.is_fraud) < 0.55, name


def test_no_other_table_gives_victims_away(joined: pd.DataFrame, sample: Made) -> None:
    """Every kind of change and every remote session is mostly honest people's."""
    victims = joined[joined.is_fraud == 1].user_id.unique()
    changes, visits = sample.tables["changes"], sample.tables["sessions"]
    for _, rows in changes.groupby("kind"):
        assert rows.user_id.isin(victims).mean() < 0.5
    assert visits[visits.remote == 1].user_id.isin(victims).mean() < 0.5
    assert visits[visits.seconds > 1200].user_id.isin(victims).mean() < 0.5


def _latest(joined: pd.DataFrame, rows: pd.DataFrame, clock: str, keys: list[str], hours: float) -> pd.Series:
    """Per event, the time of the last such row of the last hours; NaT without one."""
    both = joined[["event_id", "event_time", *keys]].merge(rows[[clock, *keys]].dropna(), on=keys)
    age = both.event_time - both[clock]
    both = both[(age > pd.Timedelta(0)) & (age < pd.Timedelta(hours=hours))]
    return joined.event_id.map(both.groupby("event_id")[clock].max())


def test_honest_customers_do_each_single_thing(joined: pd.DataFrame, sample: Made) -> None:
    """New addresses, resets before them, top-ups and remote help: of each, most cases are honest, and many are not."""
    changes, visits = sample.tables["changes"], sample.tables["sessions"]
    reset = _latest(joined, changes[changes.kind != "address_added"], "change_time", ["user_id"], 24)
    added = _latest(joined, changes[changes.kind == "address_added"], "change_time", ["user_id", "to_address"], 24)
    paid = _latest(joined, sample.tables["deposits"], "deposit_time", ["user_id"], 6)
    looked = _latest(joined, visits[visits.remote == 1], "session_time", ["user_id"], 6)
    traits = {
        "new address": added.notna(),
        "reset, then address": reset.notna() & added.notna() & (reset < added),
        "top-up": paid.notna(),
        "remote": looked.notna(),
        "night": joined.event_time.dt.hour < 6,
    }
    scam = joined.is_fraud == 1
    for name, has in traits.items():
        assert 0.2 < has[scam].mean() < 0.95, name
        assert (~scam[has]).mean() > 0.5, name
        assert has[scam].mean() > 1.3 * has[~scam].mean(), name
    several = sum(has.astype(int) for has in traits.values())
    assert scam[several >= 4].mean() > 0.7 and scam[several <= 1].mean() < 0.02


def test_the_hour_is_odd_for_the_victim_not_for_the_clock(joined: pd.DataFrame) -> None:
    """Far from the customer's own usual hour scams are several times as common as near it."""
    hour = joined.event_time.dt.hour + joined.event_time.dt.minute / 60
    turn = np.exp(2j * np.pi * hour / 24)
    total = pd.Series(turn).groupby(joined.user_id).transform("sum") - turn
    count = joined.groupby("user_id").event_id.transform("size") - 1
    known = (count >= 4) & (np.abs(total) > 0.6 * count)
    away = np.abs(np.angle(turn / np.where(total == 0, 1, total))) * 24 / (2 * np.pi)
    far, near = known & (away > 5), known & (away < 3)
    assert joined[far].is_fraud.mean() > 3 * joined[near].is_fraud.mean()


def test_investment_scams_grow(frauds: pd.DataFrame) -> None:
    """A first small payment, then larger ones: the last is a multiple of the first for most victims."""
    rows = frauds[(frauds.story == "investment")].sort_values("event_time")
    ends = rows.groupby("victim").amount_usd.agg(["first", "last", "size"])
    several = ends[ends["size"] >= 2]
    assert len(several) > 80
    assert (several["last"] / several["first"]).median() > 2
