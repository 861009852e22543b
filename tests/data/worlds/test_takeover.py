"""The simulated exchange keeps its promises: determinism, accounting, and the figures its data dictionary states."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.worlds.takeover import PRESETS, World, simulate
from riskml.data.worlds.write import write_world
from riskml.errors import UsageError

SAMPLE = Path(__file__).parents[3] / "sample_data"
TABLES = ("withdrawals", "logins", "changes", "deposits", "labels")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-07-23", tz="UTC")


@pytest.fixture(scope="module")
def sample() -> World:
    """The committed files as a world; rule versions come from a tiny simulation, for they do not depend on its size."""
    read = {name: pd.read_parquet(SAMPLE / "account_takeover" / f"{name}.parquet") for name in TABLES}
    truth = pd.read_parquet(SAMPLE / "account_takeover_truth.parquet")
    return World(**read, truth=truth, rule_versions=simulate(users=500).rule_versions, preset="control_1pct", seed=7)


@pytest.fixture(scope="module")
def joined(sample: World) -> pd.DataFrame:
    """Withdrawals without their duplicates, beside the truth; `day` counts from the start."""
    rows = sample.withdrawals.drop_duplicates("event_id").merge(sample.truth, on="event_id", validate="one_to_one")
    return rows.assign(day=(rows.event_time - START) / DAY)


def _median_days(delay: pd.Series) -> float:
    return float((delay / DAY).median())


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    """Two simulations with one seed write identical files; another seed does not."""
    digests = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        made = simulate(users=600, days=60, seed=seed).made()
        paths = write_world(made, tmp_path / name, tmp_path / name / "truth.parquet")
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in paths])
    assert digests[0] == digests[1]
    assert all(left != right for left, right in zip(digests[0], digests[2], strict=True))


def test_committed_files_match_their_fingerprint() -> None:
    """The committed files are those `make.py` wrote."""
    stated = json.loads((SAMPLE / "fingerprint.json").read_text())
    found = {name: hashlib.sha256((SAMPLE / name).read_bytes()).hexdigest() for name in stated}
    assert {f"account_takeover/{name}.parquet" for name in TABLES} < set(stated)
    assert found == stated


def test_committed_files_are_small() -> None:
    """A clone stays light: all sample files together below 12 MB."""
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*.parquet")) < 12e6


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """When one table cannot be written, no file of the folder changes and no draft stays behind."""
    world = simulate(users=500, days=40)
    write_world(world.made(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    broken = replace(world, withdrawals=world.withdrawals.iloc[:5], labels=pd.DataFrame({"x": [1, "one"]}))
    with pytest.raises(Exception, match="x"):
        write_world(broken.made(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("wrong", [{"preset": "control"}, {"users": 3}, {"days": 2}, {"seed": -1}])
def test_impossible_worlds_are_refused(wrong: dict[str, int | str]) -> None:
    """An unknown preset or a world too small for a campaign gives one error with a hint."""
    with pytest.raises(UsageError) as caught:
        simulate(**wrong)  # type: ignore[arg-type]
    assert caught.value.hint


def test_tables_scale_with_users() -> None:
    """Four times the users make about four times the rows, at the same share of frauds."""
    small, large = simulate(users=8_000, days=60), simulate(users=32_000, days=60)
    assert 3.6 < len(large.withdrawals) / len(small.withdrawals) < 4.4
    assert 3.6 < len(large.logins) / len(small.logins) < 4.4
    assert large.truth.is_fraud.sum() / len(large.truth) == pytest.approx(0.003, rel=0.4)


def test_sizes_and_span(sample: World) -> None:
    """About 90,000 withdrawals of 20,000 users over 120 days, and times in UTC microseconds."""
    assert 80_000 < len(sample.withdrawals) < 100_000
    assert sample.withdrawals.user_id.nunique() > 14_000
    assert START <= sample.withdrawals.event_time.min() < START + DAY
    assert START + 119 * DAY < sample.withdrawals.event_time.max() < START + 120 * DAY
    for frame, column in ((sample.logins, "login_time"), (sample.labels, "known_at"), (sample.deposits, "ingested_at")):
        assert str(frame[column].dtype) == "datetime64[us, UTC]"
        assert frame[column].max() < START + 120 * DAY + DAY / 86_400


def test_rows_are_sorted_and_ids_unique(sample: World) -> None:
    """Each table is sorted by its time; ids repeat only in exact duplicate rows, about one in a thousand."""
    for frame, column in (
        (sample.withdrawals, "event_time"),
        (sample.logins, "login_time"),
        (sample.changes, "change_time"),
        (sample.deposits, "deposit_time"),
        (sample.labels, "known_at"),
    ):
        assert frame[column].is_monotonic_increasing
    repeated = sample.withdrawals[sample.withdrawals.event_id.duplicated(keep=False)]
    assert len(repeated.drop_duplicates()) == repeated.event_id.nunique()
    assert 0.0005 < sample.withdrawals.event_id.duplicated().mean() < 0.002
    for frame, column in ((sample.logins, "login_id"), (sample.changes, "change_id"), (sample.deposits, "deposit_id")):
        assert frame[column].is_unique
    assert sample.labels.event_id.isin(sample.withdrawals.event_id).all()


def test_fraud_is_rare_and_peaks(joined: pd.DataFrame) -> None:
    """0.15-0.3 % of withdrawals are frauds; over the busiest three days of a large campaign 1-1.5 %."""
    assert 0.0015 < joined.is_fraud.mean() < 0.00305
    by_day = joined.groupby(np.floor(joined.day)).is_fraud.agg(["sum", "size"]).rolling(3).sum()
    assert 0.010 < (by_day["sum"] / by_day["size"]).max() < 0.0152


def test_campaigns(joined: pd.DataFrame) -> None:
    """Six campaigns of 10-120 victims over 2-9 days with 2-6 drops; one holds about 30 % of all frauds."""
    frauds = joined[joined.is_fraud == 1]
    gangs = frauds[frauds.campaign >= 0].groupby("campaign")
    assert gangs.ngroups == 6
    assert gangs.user_id.nunique().between(10, 120).all()
    core = gangs.day.quantile(0.9) - gangs.day.quantile(0.02)
    assert core.between(2, 9.5).all()
    shared = frauds[frauds.campaign >= 0].groupby(["campaign", "to_address"]).user_id.nunique().groupby("campaign")
    assert shared.size().between(2, 8).all()
    assert 0.26 < gangs.size().max() / len(frauds) < 0.34
    assert (frauds[frauds.campaign >= 0].method == "reused_device").mean() == pytest.approx(0.60, abs=0.08)
    assert (joined[joined.is_fraud == 0].campaign == -1).all()


def test_every_window_of_the_recipe_has_frauds(joined: pd.DataFrame) -> None:
    """Train (before day 36), calibrate (50-64) and test (78-106) each hold enough to say something."""
    frauds = joined[(joined.is_fraud == 1) & ~joined.allow_listed]
    assert (frauds.day < 36).sum() >= 70
    assert frauds.day.between(50, 64).sum() >= 25
    assert frauds[frauds.day.between(78, 106)].user_id.nunique() >= 60


def test_the_rule_fades(joined: pd.DataFrame, sample: World) -> None:
    """It catches about half in its first week, a third in its fourth; precision 15-30 %; several versions."""
    start = (pd.Timestamp(sample.rule_versions[0][1]) - START) / DAY
    frauds = joined[joined.is_fraud == 1]
    assert not joined[joined.day < start].rule_fired.any()
    assert frauds[frauds.day.between(start, start + 7)].rule_fired.mean() == pytest.approx(0.50, abs=0.10)
    assert frauds[frauds.day.between(start + 21, start + 28)].rule_fired.mean() == pytest.approx(0.34, abs=0.08)
    alerts = joined[joined.rule_fired & ~joined.allow_listed]
    assert 0.15 < alerts[alerts.day < 106].is_fraud.mean() < 0.30
    assert 0.15 < alerts[alerts.day.between(78, 106)].is_fraud.mean() < 0.30
    assert joined.rule_version.dropna().nunique() == len(sample.rule_versions) == 3


def _replay(rows: pd.DataFrame, versions: tuple[tuple[str, object], ...]) -> pd.Series:
    """The three committed rule texts, by hand."""
    texts = [text for text, _ in versions]
    assert texts == [
        "amount_usd > 5000 and (device_age < 1d or device_age is null)",
        "amount_usd > 5000 and (device_age < 12h or device_age is null)",
        "amount_usd > 4500 and (device_age < 12h or device_age is null) and channel != 'api'",
    ]
    index = np.searchsorted(
        [pd.Timestamp(at).value for _, at in versions], rows.event_time.astype("int64") * 1000, "right"
    )
    line = np.array([np.inf, 5000, 5000, 4500])[index]
    young = np.array([0, 86_400, 43_200, 43_200])[index]
    fires = (rows.amount_usd > line) & ((rows.device_age < young) | rows.device_age.isna())
    return fires & ~((index == 3) & (rows.channel == "api"))


def test_the_log_agrees_with_a_replay_almost_always(joined: pd.DataFrame, sample: World) -> None:
    """Replaying the versions' text gives the logged answer in 99.2 % of rows since the first version."""
    live = joined[joined.event_time >= sample.rule_versions[0][1]]
    assert (_replay(live, sample.rule_versions) == live.rule_fired).mean() == pytest.approx(0.992, abs=0.0012)


def test_releases_are_logged_where_the_rule_fired(joined: pd.DataFrame) -> None:
    """A chance is logged exactly where the rule fired; it lets through about that share, and members of the list."""
    assert (joined.release_chance.notna() == joined.rule_fired).all()
    fired = joined[joined.rule_fired]
    assert (fired[fired.allow_listed].release_chance == 1).all()
    held = fired[~fired.allow_listed]
    assert (held.release_chance == 0.01).all()
    released = ~held.control_ids.fillna("").str.contains("temp_rule")
    assert 1 <= released.sum() <= 0.04 * len(held)


def test_other_controls_act_too(joined: pd.DataFrame) -> None:
    """Velocity cap and sanctions screen stop withdrawals of their own; an acting control never leaves `allow`."""
    acted = joined.control_ids.fillna("")
    for name, least in (("velocity_cap", 50), ("sanctions_screen", 10), ("temp_rule", 150)):
        assert acted.str.contains(name).sum() >= least
    assert (joined[acted == ""].final_action == "allow").all()
    assert (joined[acted != ""].final_action != "allow").all()
    assert 0.001 < joined.allow_listed.mean() < 0.05


def test_a_third_try_again_after_a_block(joined: pd.DataFrame) -> None:
    """35 % of withdrawals blocked by the rule are tried again, by thieves mostly for less."""
    rows = joined.sort_values(["episode", "event_time"], kind="stable")
    again = rows.episode.eq(rows.episode.shift(-1))
    blocked = rows.control_ids.fillna("").str.contains("temp_rule") & (rows.status == "blocked")
    assert again[blocked].mean() == pytest.approx(0.35, abs=0.09)
    assert not again[~blocked].any()


def test_money_adds_up(joined: pd.DataFrame, sample: World) -> None:
    """No withdrawal exceeds its balance, and between two events of a user the balance moves by what was logged."""
    assert (joined.amount_usd <= joined.balance_usd + 0.005).all()
    left = joined[["user_id", "event_time", "balance_usd", "amount_usd", "status"]].assign(flow=0.0)
    left["flow"] = -left.amount_usd.where(left.status.isin(["completed", "reversed"]), 0.0)
    came = sample.deposits.rename(columns={"deposit_time": "event_time", "amount_usd": "flow"})
    both = pd.concat([left, came[["user_id", "event_time", "flow"]]]).sort_values(
        ["user_id", "event_time"], kind="stable"
    )
    both["running"] = both.groupby("user_id").flow.cumsum() - both.flow
    opening = (both.balance_usd - both.running).groupby(both.user_id)
    spread = (opening.max() - opening.min()).dropna()
    assert (spread < 0.02).mean() > 0.995


def test_labels_come_by_several_routes(joined: pd.DataFrame, sample: World) -> None:
    """Claims: median 2 days, p90 12, 15 % never. Analysts: 4 hours, one in ten wrong. All routes occur."""
    lost = joined[(joined.is_fraud == 1) & joined.status.isin(["completed", "reversed"])]
    assert lost.claim_days.isna().mean() == pytest.approx(0.15, abs=0.06)
    assert lost.claim_days.median() == pytest.approx(2.0, abs=0.8)
    assert lost.claim_days.quantile(0.9) == pytest.approx(12.0, abs=4.5)
    told = sample.labels.merge(joined[["event_id", "event_time", "is_fraud"]], on="event_id", suffixes=("", "_true"))
    assert set(told.label_source) == {"claim", "analyst", "linked", "rule_block"}
    first = told[told.label_source == "analyst"].drop_duplicates("event_id")
    assert _median_days(first.known_at - first.event_time) == pytest.approx(4 / 24, rel=0.25)
    assert (first.is_fraud != first.is_fraud_true).mean() == pytest.approx(0.10, abs=0.03)
    assert (told.known_at > told.event_time).all()
    changed = told.groupby(["event_id", "label_source"]).is_fraud.nunique()
    assert (changed > 1).sum() >= 10


def test_statuses_are_overwritten_later(joined: pd.DataFrame) -> None:
    """A reversed status marks frauds only and was set days after the event: the leak that `later` guards against."""
    undone = joined[joined.status == "reversed"]
    assert len(undone) > 30
    assert (undone.is_fraud == 1).all()
    assert _median_days(undone.status_at - undone.event_time) > 1
    assert (joined.status_at >= joined.event_time).all()


def test_look_alikes(joined: pd.DataFrame, sample: World) -> None:
    """Honest people share carriers and wallets, change phones and reset passwords like victims do."""
    wallets = joined.to_address.value_counts(normalize=True)
    assert wallets.iloc[:20].sum() == pytest.approx(0.30, abs=0.04)
    crowd = joined.groupby("ip").user_id.nunique()
    assert (crowd >= 50).sum() >= 5
    assert crowd.max() <= 5000
    honest = joined[joined.is_fraud == 0]
    young = honest[(honest.device_age < 86_400) & (honest.account_age > 86_400)]
    assert len(young) > 3 * joined.is_fraud.sum()
    resets = sample.changes[sample.changes.kind == "password_reset"]
    victims = joined[joined.is_fraud == 1].user_id
    assert (~resets.user_id.isin(victims)).mean() > 0.9
    fresh = (
        joined[joined.is_fraud == 0]
        .groupby("to_address")
        .agg(n=("user_id", "nunique"), a=("day", "min"), b=("day", "max"))
    )
    assert ((fresh.n >= 5) & (fresh.b - fresh.a < 10)).sum() >= 20


def test_dirt(joined: pd.DataFrame, sample: World) -> None:
    """Null devices 5 %, late rows, one three-day backfill of changes, bots behind most failed logins."""
    assert joined.device_id.isna().mean() == pytest.approx(0.05, abs=0.005)
    assert joined[joined.device_id.isna()].device_age.isna().all()
    logins, changes = sample.logins, sample.changes
    delay = logins.ingested_at - logins.login_time
    assert (delay >= pd.Timedelta(0)).all() and 0.008 < (delay > pd.Timedelta(minutes=10)).mean() < 0.02
    lump = changes[(changes.change_time - START).between(90.5 * DAY, 93.5 * DAY)]
    assert len(lump) > 100 and (lump.ingested_at > START + 93.5 * DAY).all()
    failed = logins[logins.success == 0]
    crowd = logins[logins.success == 0].groupby("ip").user_id.nunique()
    assert failed.ip.isin(crowd[crowd > 30].index).mean() > 0.5


def test_presets_differ_where_they_should() -> None:
    """`no_control` never releases; `one_campaign` is one gang; `adaptive` leaves shared devices behind at the end."""
    assert set(PRESETS) == {"control_1pct", "no_control", "no_difference", "one_campaign", "adaptive"}
    closed = simulate("no_control", users=8_000).withdrawals
    assert closed.release_chance.isna().all() and closed.rule_fired.any()
    held = closed[closed.rule_fired & ~closed.allow_listed]
    assert held.control_ids.str.contains("temp_rule").all()
    single = simulate("one_campaign", users=8_000).truth
    frauds = single[single.is_fraud == 1]
    assert (frauds.campaign == 0).mean() > 0.85
    moved = simulate("adaptive", users=10_000).truth.query("is_fraud == 1 and campaign >= 0")
    assert (moved[moved.campaign == 5].method == "reused_device").mean() < 0.25
    assert (moved[moved.campaign < 3].method == "reused_device").mean() > 0.45


def test_no_difference_hides_nothing_beside_the_rule() -> None:
    """Within and outside the rule's condition, frauds look like everybody else in every other column."""
    world = simulate("no_difference")
    rows = world.withdrawals.drop_duplicates("event_id").merge(world.truth, on="event_id")
    inside = (rows.amount_usd > 5000) & ((rows.device_age < 86_400) | rows.device_age.isna())
    assert 0.6 < inside[rows.is_fraud == 1].mean() < 0.85
    shared = rows.groupby("to_address").user_id.transform("nunique") >= 100
    web = rows.channel == "web"
    for trait in (shared, web):
        for place in (inside, ~inside):
            true, false = trait[place & (rows.is_fraud == 1)], trait[place & (rows.is_fraud == 0)]
            noise = np.sqrt(false.mean() * (1 - false.mean()) / len(true))
            assert abs(true.mean() - false.mean()) < 4 * noise
