"""Loading a release and scoring with it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from riskml.errors import DataError, ReleaseError, UsageError
from riskml.release import archive
from riskml.release.build import build_release
from riskml.release.load import Release, load, open_contents
from tests.release.worlds import BUILD, World, make_model, make_verdict, repack


def as_row(world: World, at: int) -> dict[str, Any]:
    """One event as plain Python values."""
    return {str(name): value for name, value in world.rows.iloc[at].items()}


def test_one_row_scores_as_the_training_table(world: World, release: Release) -> None:
    """Margin, probability, action and reasons of single events equal the model's own on its training table."""
    margins = world.model.margins(world.frame)
    parts = world.model.contributions(world.frame)
    for at in range(0, 400):
        decision = release.score(as_row(world, at))
        assert decision.margin == margins[at]
        assert decision.probability == world.model.probabilities(margins)[at]
        assert decision.action == ("alert" if margins[at] >= world.model.threshold else "allow")
        assert decision.missing == ()
        best = sorted((-part, name) for part, name in zip(parts[at], world.frame.columns, strict=False) if part > 1e-9)
        assert [reason.feature for reason in decision.reasons] == [name for _, name in best[:3]]
        wanted = [-part for part, _ in best[:3]]
        assert [reason.contribution for reason in decision.reasons] == pytest.approx(wanted, rel=0, abs=1e-10)
        assert decision.event == world.rows["event_id"][at]
    assert decision.plan == world.model.plan.digest
    assert decision.release == release.id
    assert decision.stage == "add"


def test_a_large_bag_scores_alike_by_row_and_by_table(world: World, tmp_path: Path) -> None:
    """The mean over ten boosters has the same bits for one row as for many."""
    model = make_model(world.model.plan, world.frame, bag=10)
    release = load(build_release(tmp_path, model=model, verdict=make_verdict(model), **BUILD).path)
    table = release.score_table(world.rows.head(200), reasons=0)
    assert [release.score(as_row(world, at), reasons=0).margin for at in range(200)] == table["margin"].tolist()


def test_field_order_and_further_fields_do_not_matter(world: World, release: Release) -> None:
    """Only names count."""
    row = as_row(world, 3)
    shuffled = {"colour": object(), **dict(reversed(row.items()))}
    assert release.score(shuffled) == release.score(row)


@pytest.mark.parametrize(
    "null", [None, math.nan, np.float32("nan"), math.inf, -math.inf, pd.NA, Decimal("NaN"), 10**400, 1e39]
)
def test_null_in_every_guise_is_the_same(world: World, release: Release, null: object) -> None:
    """None, NaN, NA, infinities and numbers beyond float32 all mean unknown, as in the training table."""
    wanted = release.score(as_row(world, 3) | {"user_events_count_1d": None})
    assert release.score(as_row(world, 3) | {"user_events_count_1d": null}) == wanted


def test_a_missing_field_is_null_and_is_listed(world: World, release: Release) -> None:
    """A field the event does not hold counts as null; the decision says so."""
    row = as_row(world, 3)
    del row["user_events_count_1d"], row["to_address"]
    decision = release.score(row)
    assert decision.missing == ("user_events_count_1d", "to_address")
    full = release.score(as_row(world, 3) | {"user_events_count_1d": None, "to_address": None})
    assert decision == dataclasses.replace(full, missing=decision.missing)
    assert len(release.score({}).missing) == len(release.fields)


def test_numbers_may_come_as_any_number(world: World, release: Release) -> None:
    """int, bool, Decimal and NumPy scalars of one value are one number."""
    row = as_row(world, 3)
    margins = {
        release.score(row | {"is_new_device": one}).margin for one in (True, 1, 1.0, Decimal(1), np.int8(1), np.True_)
    }
    assert len(margins) == 1


def test_unseen_and_rare_categories_are_unknown(world: World, release: Release) -> None:
    """A category not learnt gives what null gives."""
    row = as_row(world, 3)
    wanted = release.score(row | {"asset": None})
    assert release.score(row | {"asset": "DOGE"}) == wanted
    assert release.score(row | {"asset": "RARE"}) == wanted


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("amount_usd", "12.5", "the text '12.5'"),
        ("amount_usd", b"12", "the text b'12'"),
        ("amount_usd", [1.0], "list"),
        ("user_events_count_1d", {}, "dict"),
        ("user_events_count_1d", np.array([1.0, 2.0]), "ndarray"),
        ("asset", 7, "the number 7"),
        ("asset", True, "the number True"),
        ("event_time", "yesterday", "should be a time"),
        ("event_time", "2026-10-05T12:00:00", "no zone"),
        ("event_time", dt.datetime(2026, 10, 5), "no zone"),
        ("event_time", 1.5, "should be a time"),
        ("to_address", object(), "no_address"),
        ("amount_vs_usual", "high", "should be a number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(
    world: World, release: Release, name: str, value: object, word: str
) -> None:
    """A text for a number, a number for a text, a time without a zone: one clear error that names the field."""
    with pytest.raises(DataError, match=name if word != "no_address" else word) as caught:
        release.score(as_row(world, 3) | {name: value})
    assert word in caught.value.message
    assert len(caught.value.message) < 200


def test_a_row_must_be_a_mapping(release: Release) -> None:
    """A list of values has no names to go by."""
    with pytest.raises(DataError, match="mapping"):
        release.score([1.0, 2.0])  # type: ignore[arg-type]


def test_times_may_be_written_in_several_ways(world: World, release: Release) -> None:
    """Microseconds, ISO 8601 in any zone, datetime and datetime64 of one instant are one time."""
    row = as_row(world, 3)
    when = row["event_time"]
    ways = [
        int(when.value // 1000),
        when.isoformat(),
        when.tz_convert("Asia/Tokyo").isoformat(),
        when.to_pydatetime(),
        when.to_datetime64(),
    ]
    assert {release.score(row | {"event_time": way}) for way in ways} == {release.score(row)}


def test_declared_missing_values_are_null(world: World, release: Release) -> None:
    """A text the recipe calls missing reads as null in derived features."""
    row = as_row(world, 3)
    assert release.score(row | {"to_address": "unknown"}) == release.score(row | {"to_address": None})


def test_a_derived_value_that_is_given_is_taken(world: World, release: Release) -> None:
    """A row or table that already holds a derived feature need not hold what it is made from."""
    whole = dict(zip(world.frame.columns, world.frame.iloc[3], strict=True))
    decision = release.score(whole)
    assert decision.missing == ()
    assert decision.margin == world.model.margins(world.frame)[3]


def test_reasons_can_be_left_out(world: World, release: Release) -> None:
    """Without reasons the decision is the same."""
    full = release.score(as_row(world, 3))
    assert full.reasons
    assert release.score(as_row(world, 3), reasons=0) == dataclasses.replace(full, reasons=())


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    """No file is not an altered file."""
    with pytest.raises(UsageError, match="no release"):
        load(tmp_path / "none.riskml")


@pytest.mark.parametrize("step", [101, pytest.param(1, marks=pytest.mark.deep)])
def test_every_flipped_byte_is_seen(path: Path, step: int) -> None:
    """Whichever byte of a release is altered, its own structure included, its contents are not accepted."""
    raw = bytearray(path.read_bytes())
    assert open_contents(bytes(raw)).problems == ()
    for at in range(0, len(raw), step):
        raw[at] ^= 1 << (at % 8)
        with contextlib.suppress(ReleaseError):
            assert open_contents(bytes(raw)).problems, at
        raw[at] ^= 1 << (at % 8)


def test_a_flipped_byte_is_one_clear_error(path: Path, tmp_path: Path) -> None:
    """Loading an altered release is refused with a message and exit code 2."""
    raw = bytearray(path.read_bytes())
    copy = tmp_path / "flipped.riskml"
    for at in range(5, len(raw), len(raw) // 40):
        raw[at] ^= 0x10
        copy.write_bytes(raw)
        with pytest.raises(ReleaseError) as caught:
            load(copy)
        assert caught.value.message
        assert caught.value.exit_code == 2
        raw[at] ^= 0x10


def test_swapped_missing_and_foreign_files_are_refused(path: Path, tmp_path: Path) -> None:
    """A well-formed archive whose files are not the manifest's is refused, naming the file."""
    copy = tmp_path / "other.riskml"
    for changes, words in (
        ({"golden.json": b"{}"}, "`golden.json` was altered"),
        ({"plan.json": None}, "`plan.json` is missing"),
        ({"payload.bin": b"x"}, "`payload.bin` does not belong here"),
        ({"model/extra.txt": b"x"}, "`model/extra.txt` does not belong here"),
        ({"manifest.json": None}, "no `manifest.json`"),
        ({"manifest.json": b"[]"}, "no object"),
        ({"manifest.json": b"{}\n"}, "names the schema"),
        ({"manifest.json": b"[" * 100_000}, "not JSON"),
        ({"manifest.json": b"\xff\xfe"}, "not JSON"),
    ):
        copy.write_bytes(repack(path, changes))
        with pytest.raises(ReleaseError, match=words):
            load(copy)


def test_a_newer_schema_asks_for_an_upgrade(path: Path, tmp_path: Path) -> None:
    """A release of a later format is refused with the way out, not called altered."""
    manifest = archive.decode(path.read_bytes()).files["manifest.json"]
    copy = tmp_path / "newer.riskml"
    copy.write_bytes(repack(path, {"manifest.json": manifest.replace(b"riskml.release/2", b"riskml.release/3")}))
    with pytest.raises(ReleaseError, match=r"riskml\.release/3") as caught:
        load(copy)
    assert "upgrade" in caught.value.hint


def test_a_manifest_has_one_spelling(path: Path, tmp_path: Path) -> None:
    """The same manifest with other spaces, a doubled key or another stage word is refused."""
    manifest = archive.decode(path.read_bytes()).files["manifest.json"]
    copy = tmp_path / "spelt.riskml"
    for other in (
        manifest.replace(b"\n", b"\n "),
        manifest.replace(b' "name"', b' "name": "x",\n "name"', 1),
        manifest.replace(b'"stage": "add"', b'"stage": "all"'),
        manifest.replace(b' "threat"', b' "treat"'),
    ):
        assert other != manifest
        copy.write_bytes(repack(path, {"manifest.json": other}))
        with pytest.raises(ReleaseError, match=r"manifest\.json"):
            load(copy)


def test_a_model_may_read_part_of_its_plan(world: World, tmp_path: Path) -> None:
    """Features a model was fitted without are neither declared nor missed, and their values are not looked at."""
    whole = world.model
    names = tuple(name for name in whole.schema.names if name not in ("is_new_device", "hour", "no_address"))
    schema = dataclasses.replace(whole.schema, names=names)
    model = make_model(whole.plan, world.frame, schema=schema)
    release = load(build_release(tmp_path, model=model, verdict=make_verdict(model), **BUILD).path)
    fields = [field.name for field in release.fields]
    assert fields == ["asset", "amount_usd", *(node.name for node in whole.plan.nodes)]
    row = {name: as_row(world, 3)[name] for name in fields}
    decision = release.score(row)
    assert decision.missing == () and decision.margin == model.margins(world.frame)[3]
    assert release.score(row | {"is_new_device": "yes", "event_time": "noon"}) == decision
    assert release.score_table(world.rows[fields].head(5), reasons=0)["margin"][3] == decision.margin


def test_a_warm_release_decides_as_a_cold_one(world: World, path: Path) -> None:
    """Machine code changes no margin, probability or reason."""
    cold, warm = load(path), load(path)
    warm.warm()
    assert warm.scorer.forest.warmed and not cold.scorer.forest.warmed
    for at in range(0, 120, 3):
        one, other = cold.score(as_row(world, at)), warm.score(as_row(world, at))
        assert dataclasses.replace(one, reasons=()) == dataclasses.replace(other, reasons=())
        assert [reason.feature for reason in one.reasons] == [reason.feature for reason in other.reasons]
        parts = [reason.contribution for reason in other.reasons]
        assert [reason.contribution for reason in one.reasons] == pytest.approx(parts, rel=0, abs=1e-10)


def test_a_release_tells_of_its_streams(world: World, release: Release, tmp_path: Path) -> None:
    """What raw events look like is read from the release; without it, deciding on them is refused."""
    told = {"schema": "riskml.online/1", "events": {"id": "event_id"}}
    made = build_release(tmp_path, model=world.model, verdict=world.verdict, online=told, **BUILD)
    assert load(made.path).streams == told and release.streams is None
    with pytest.raises(ReleaseError, match="raw events"):
        release.online()
