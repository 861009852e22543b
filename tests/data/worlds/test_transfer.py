"""The simulated bank keeps its promises: determinism, money that adds up, look-alikes, and the README's figures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from riskml.data.worlds import Made, make_world
from riskml.data.worlds.transfer import make
from riskml.data.worlds.transfer.settings import RULE
from riskml.data.worlds.write import write_world
from riskml.errors import UsageError
from riskml.evidence.metrics import roc_auc

SAMPLE = Path(__file__).parents[3] / "sample_data"
TABLES = ("transfers", "logins", "cash", "labels")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2026-07-23", tz="UTC")
WINDOWS = {"train": (0, 48), "calibrate": (58, 72), "test": (82, 110)}
IDS = ("event_id", "sender_id", "receiver_id", "device_id", "ip")


@pytest.fixture(scope="module")
def sample() -> Made:
    """The committed files."""
    read = {name: pd.read_parquet(SAMPLE / "transfer_risk" / f"{name}.parquet") for name in TABLES}
    return Made(read, pd.read_parquet(SAMPLE / "transfer_risk_truth.parquet"))


@pytest.fixture(scope="module")
def joined(sample: Made) -> pd.DataFrame:
    """Transfers beside the truth; `day` counts from the start."""
    rows = sample.tables["transfers"].merge(sample.truth, on="event_id", validate="one_to_one")
    return rows.assign(day=(rows.event_time - START) / DAY)


@pytest.fixture(scope="module")
def frauds(joined: pd.DataFrame) -> pd.DataFrame:
    """The frauds alone."""
    return joined[joined.is_fraud == 1]


def _digests(made: Made, folder: Path) -> dict[str, str]:
    paths = write_world(made, folder / "transfer_risk", folder / "transfer_risk_truth.parquet")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_committed_files_are_the_default_world(tmp_path: Path) -> None:
    """Making the default world again gives the committed bytes, whose fingerprint is stated."""
    stated = json.loads((SAMPLE / "fingerprint.json").read_text())
    again = _digests(make_world("transfer_risk"), tmp_path)
    assert len(again) == len(TABLES) + 1
    assert again == {name: stated.get(name) for name in again}
    assert {name: hashlib.sha256((SAMPLE / name).read_bytes()).hexdigest() for name in again} == again


def test_another_seed_is_another_world(tmp_path: Path) -> None:
    """The same small world twice has the same bytes; another seed shares none of its files."""
    one, two, other = (_digests(make(seed, 500), tmp_path / name) for seed, name in ((3, "a"), (3, "b"), (4, "c")))
    assert one == two
    assert not set(one.values()) & set(other.values())


def test_the_sample_is_small() -> None:
    """The files of this world stay below 1.8 MB."""
    files = [*(SAMPLE / "transfer_risk").glob("*.parquet"), SAMPLE / "transfer_risk_truth.parquet"]
    assert sum(path.stat().st_size for path in files) < 1.8e6


@pytest.mark.parametrize(("seed", "users"), [(7, 100), (-1, 6000)])
def test_impossible_worlds_are_refused(seed: int, users: int) -> None:
    """Too few users or a negative seed give one error with a hint."""
    with pytest.raises(UsageError) as caught:
        make(seed, users)
    assert caught.value.hint


def test_tables_scale_with_users(sample: Made) -> None:
    """A quarter of the users make about a quarter of the rows and of the frauds."""
    small = make(7, 1500)
    for name in ("transfers", "logins", "cash"):
        assert len(sample.tables[name]) / len(small.tables[name]) == pytest.approx(4, rel=0.15)
    assert sample.truth.is_fraud.sum() / small.truth.is_fraud.sum() == pytest.approx(4, rel=0.3)


def test_rows_are_sorted_and_ids_unique(sample: Made) -> None:
    """Every table is sorted by its time and lies inside the 120 days; ids occur once; nothing is known too early."""
    for name, key, time in (
        ("transfers", "event_id", "event_time"),
        ("logins", "login_id", "login_time"),
        ("cash", "cash_id", "cash_time"),
        ("labels", None, "known_at"),
    ):
        frame = sample.tables[name]
        assert frame[time].is_monotonic_increasing
        assert str(frame[time].dtype) == "datetime64[us, UTC]"
        assert frame[time].between(START, START + 120 * DAY, inclusive="left").all()
        assert key is None or frame[key].is_unique
        if "ingested_at" in frame:
            wait = frame.ingested_at - frame[time]
            assert (wait > pd.Timedelta(0)).all()
            assert 0.005 < (wait > pd.Timedelta(minutes=10)).mean() < 0.03


def test_a_transfer_is_between_two_open_accounts(joined: pd.DataFrame) -> None:
    """Nobody pays himself, both accounts are open, amounts are cents of at least five dollars."""
    assert (joined.sender_id != joined.receiver_id).all()
    assert (joined[["sender_age", "receiver_age"]] >= 0).all(axis=None)
    assert (joined.amount_usd >= 5).all()
    assert np.allclose(joined.amount_usd * 100, (joined.amount_usd * 100).round())


def test_the_figures_of_the_readme(joined: pd.DataFrame, frauds: pd.DataFrame, sample: Made) -> None:
    """The counts that the data dictionary states."""
    text = " ".join((SAMPLE / "README.md").read_text().split())
    section = text[text.index("## transfer_risk") : text.index("# scam")]
    sizes = {name: len(frame) for name, frame in sample.tables.items()}
    stated = [f"{sizes['transfers']:,} transfers", f"{sizes['logins']:,} logins", f"{sizes['cash']:,} cash movements"]
    stated += [f"{sizes['labels']:,} label rows", f"{len(frauds):,} frauds ({100 * len(frauds) / len(joined):.1f} %"]
    stated += [f"{frauds.ring.nunique()} rings of {frauds.gang.nunique()} gangs"]
    stated += [f"{frauds.receiver_id.nunique()} mules"]
    for low, high in WINDOWS.values():
        inside = frauds[frauds.day.between(low, high, inclusive="left")]
        stated.append(f"| {low}-{high} | {len(inside)} | {inside.ring.nunique()} |")
    assert [words for words in stated if words not in section] == []


def test_every_window_of_the_recipe_has_frauds(frauds: pd.DataFrame) -> None:
    """Each window holds enough to say something, the test window at least 60 rings, and 40 counted by their size."""
    found = {name: frauds[frauds.day.between(low, high)] for name, (low, high) in WINDOWS.items()}
    assert len(found["train"]) >= 250 and len(found["calibrate"]) >= 80
    sizes = found["test"].groupby("ring").size()
    assert len(sizes) >= 60
    assert sizes.sum() ** 2 / (sizes**2).sum() >= 40


def test_the_rule_leaks_and_insults(joined: pd.DataFrame) -> None:
    """It fires only once written, as its text says but in one row of a thousand; most alerts are good customers."""
    starts = [START + version.day * DAY for version in RULE]
    assert not joined[joined.event_time < starts[0]].rule_fired.any()
    live = joined[joined.event_time >= starts[0]]
    second = live.event_time >= starts[1]
    age = live.receiver_age / 86_400
    assert [v.when for v in RULE] == [
        "amount_usd > 2000 and receiver_age < 7d",
        "amount_usd > 1500 and receiver_age < 14d",
    ]
    text = np.where(second, (live.amount_usd > 1500) & (age < 14), (live.amount_usd > 2000) & (age < 7))
    assert 0.998 < (text == live.rule_fired).mean() < 1
    alerts = live[live.rule_fired & ~live.allow_listed]
    assert alerts.is_fraud.mean() == pytest.approx(0.19, abs=0.08)
    assert live[live.is_fraud == 1].rule_fired.mean() == pytest.approx(0.12, abs=0.05)


def test_releases_are_logged_where_the_rule_fired(joined: pd.DataFrame) -> None:
    """A chance is logged exactly where the rule fired; it lets about that share through, and all of the allow-list."""
    assert (joined.release_chance.notna() == joined.rule_fired).all()
    fired = joined[joined.rule_fired]
    assert (fired[fired.allow_listed].release_chance == 1).all()
    held = fired[~fired.allow_listed]
    assert (held.release_chance == 0.03).all()
    released = ~held.control_ids.fillna("").str.contains("temp_rule")
    assert 0.005 < released.mean() < 0.06


def test_an_acting_control_shows(joined: pd.DataFrame) -> None:
    """Where no control acted the transfer was allowed, elsewhere not; all three controls act."""
    acted = joined.control_ids.fillna("")
    assert (joined[acted == ""].final_action == "allow").all()
    assert (joined[acted != ""].final_action != "allow").all()
    for name in ("temp_rule", "young_sender_limit", "sanctions_screen"):
        assert acted.str.contains(name).sum() >= 5


def test_stolen_money_adds_up(frauds: pd.DataFrame) -> None:
    """Each ring passes on no more than reached it at the layer before, and no mule sends stolen money it never got."""
    arrived = frauds[frauds.status.isin(["completed", "reversed"])]
    came = arrived.groupby(["ring", "depth"]).amount_usd.sum()
    sent = frauds.groupby(["ring", "depth"]).amount_usd.sum()
    deeper = sent[sent.index.get_level_values("depth") > 0]
    before = came.reindex([(ring, depth - 1) for ring, depth in deeper.index]).to_numpy()
    assert (deeper.to_numpy() <= before + 0.05).all()
    layers = frauds[frauds.method == "layer"]
    assert (layers.depth > 0).all() and (frauds[frauds.method != "layer"].depth == 0).all()
    first = arrived.groupby(["ring", "receiver_id"]).event_time.min()
    got = first.reindex(list(zip(layers.ring, layers.sender_id, strict=True))).to_numpy()
    assert (got < layers.event_time.to_numpy().astype(got.dtype)).all()


def test_rings_share_devices_and_fan_in(frauds: pd.DataFrame, joined: pd.DataFrame, sample: Made) -> None:
    """A third of the mules is paid by several, most onward transfers come from a device that another mule uses too."""
    assert (frauds.groupby("receiver_id").sender_id.nunique() >= 2).mean() > 0.33
    pairs = _device_pairs(joined, sample)
    users = pairs[pairs.sender_id.isin(set(frauds.receiver_id))].groupby("device_id").size()
    layers = frauds[(frauds.method == "layer") & frauds.device_id.notna()]
    assert layers.device_id.map(users).ge(2).mean() > 0.5


def _device_pairs(joined: pd.DataFrame, sample: Made) -> pd.DataFrame:
    """Every device with every account seen on it, once."""
    logins = sample.tables["logins"].rename(columns={"account_id": "sender_id"})
    pairs = pd.concat([joined[["device_id", "sender_id"]], logins[["device_id", "sender_id"]]])
    return pairs.dropna().drop_duplicates()


def _fan_in(rows: pd.DataFrame, payers: int) -> set[str]:
    """Accounts that got that many payments in a row from different senders within two days."""
    rows = rows.sort_values("event_time")
    grouped = rows.groupby("receiver_id")
    fast = rows.event_time - grouped.event_time.shift(payers - 1) < 2 * DAY
    for step in range(1, payers):
        fast &= rows.sender_id != grouped.sender_id.shift(step)
    return set(rows.receiver_id[fast])


def _passed_through(rows: pd.DataFrame) -> set[str]:
    """Accounts that sent on 70 to 102 % of one payment within twelve hours."""
    done = rows[rows.status.isin(["completed", "reversed"])]
    came = done[["event_time", "receiver_id", "amount_usd"]].rename(columns={"receiver_id": "account"})
    left = done[["event_time", "sender_id", "amount_usd"]].rename(columns={"sender_id": "account"})
    both = came.merge(left, on="account", suffixes=("", "_left"))
    wait = both.event_time_left - both.event_time
    both = both[(wait > pd.Timedelta(0)) & (wait < DAY / 2)]
    return set(both.account[both.amount_usd_left.between(0.7 * both.amount_usd, 1.02 * both.amount_usd)])


def test_every_trait_of_a_mule_is_mostly_honest(joined: pd.DataFrame, frauds: pd.DataFrame, sample: Made) -> None:
    """Fan-in, pass-through and shared devices: mules show each of them, and more honest accounts do."""
    mules = set(frauds.receiver_id)
    for found in (_fan_in(joined, 3), _passed_through(joined)):
        assert len(found & mules) >= 60
        assert len(found - mules) > 1.3 * len(found & mules)
    pairs = _device_pairs(joined, sample)
    users = pairs.assign(mule=pairs.sender_id.isin(mules)).groupby("device_id").mule
    shared = pd.DataFrame({"accounts": users.size(), "mules": users.sum()})
    small = shared[shared.accounts.between(2, 12)]
    assert (small.mules >= 2).sum() >= 60
    assert (small.mules == 0).sum() > 1.3 * (small.mules >= 2).sum()


def test_other_look_alikes(joined: pd.DataFrame, frauds: pd.DataFrame) -> None:
    """Hubs pay or are paid by hundreds, new accounts get large first payments, some customers own many devices."""
    honest = joined[joined.is_fraud == 0]
    assert (honest.groupby("receiver_id").sender_id.nunique() > 60).sum() >= 20
    assert (honest.groupby("sender_id").receiver_id.nunique() > 12).sum() >= 10
    young = honest[(honest.receiver_age < 7 * 86_400) & (honest.amount_usd > 2000)]
    assert len(young) > 2 * ((frauds.receiver_age < 7 * 86_400) & (frauds.amount_usd > 2000)).sum()
    quiet = honest[honest.sender_age > 400 * 86_400].groupby("sender_id").event_time.min()
    assert (quiet > START + 60 * DAY).sum() >= 20


def test_no_raw_column_separates(joined: pd.DataFrame) -> None:
    """What the event itself shows ranks frauds with an AUC below .8, whichever column and whichever way."""
    y = joined.is_fraud.to_numpy()
    shown = {name: joined[name] for name in ("amount_usd", "sender_age", "receiver_age")}
    shown["hour"] = joined.event_time.dt.hour
    for name in ("channel", "sender_kind", "receiver_kind"):
        shown[name] = joined.is_fraud.groupby(joined[name]).transform("mean")
    for name, values in shown.items():
        auc = roc_auc(values.to_numpy(np.float64), y)
        assert 0.2 < auc < 0.8, name


def test_ids_and_digits_are_blind(joined: pd.DataFrame, sample: Made) -> None:
    """Neither the order nor the shape of ids, nor cents, seconds or lost devices tell frauds or mules."""
    y = joined.is_fraud.to_numpy()
    silent = {name: joined[name].fillna("").rank() for name in IDS}
    silent |= {"cents": (joined.amount_usd * 100).round() % 100, "second": joined.event_time.dt.second}
    silent |= {"lost": joined.device_id.isna()}
    for name, values in silent.items():
        assert roc_auc(values.to_numpy(np.float64), y) == pytest.approx(0.5, abs=0.05), name
    assert joined.sender_id.str.fullmatch("c[a-z02-9]{7}").all()
    assert joined.device_id.dropna().str.fullmatch("d[a-z02-9]{7}").all()
    assert not set(sample.truth.columns) & (
        set().union(*(f.columns for f in sample.tables.values())) - {"event_id", "is_fraud"}
    )
    assert "is_fraud" not in sample.tables["transfers"]


def test_no_event_shows_its_status_in_time(joined: pd.DataFrame) -> None:
    """`reversed` marks claimed frauds alone and was set days later: the leak that `later` guards against."""
    undone = joined[joined.status == "reversed"]
    assert len(undone) > 50 and (undone.is_fraud == 1).all()
    assert ((undone.status_at - undone.event_time) / DAY).median() > 1
    assert (joined.status_at > joined.event_time).all()


def test_labels_come_by_several_routes(sample: Made, joined: pd.DataFrame) -> None:
    """Claims: median 1.5 days, p90 6, 18 % never; traces follow claims; analysts: 4 hours, one in ten wrong."""
    lost = joined[joined.method.isin(["own_device", "taken_over"]) & joined.status.isin(["completed", "reversed"])]
    assert lost.claim_days.isna().mean() == pytest.approx(0.18, abs=0.04)
    assert lost.claim_days.median() == pytest.approx(1.5, abs=0.3)
    assert lost.claim_days.quantile(0.9) == pytest.approx(6, abs=1.7)
    told = sample.tables["labels"].merge(
        joined[["event_id", "event_time", "is_fraud", "method"]], on="event_id", suffixes=("", "_true")
    )
    assert (told.known_at > told.event_time).all()
    assert set(told.label_source) == {"claim", "trace", "analyst", "linked", "rule_block"}
    assert (told[told.label_source == "trace"].method == "layer").all()
    seen = told[told.label_source == "analyst"].drop_duplicates("event_id")
    assert ((seen.known_at - seen.event_time) / DAY).median() == pytest.approx(4 / 24, rel=0.3)
    assert (seen.is_fraud != seen.is_fraud_true).mean() == pytest.approx(0.11, abs=0.05)
    said = told[told.is_fraud == 1].groupby("label_source").is_fraud_true.mean()
    assert said["claim"] > 0.8 and said["linked"] < 0.5 and said["rule_block"] < 0.4
    changed = told.groupby(["event_id", "label_source"]).is_fraud.nunique()
    assert (changed > 1).sum() >= 10
