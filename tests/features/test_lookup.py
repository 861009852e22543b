"""Reference tables: the row in force strictly before the event, against a loop that reads every row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.references import ReferenceTable, read_reference
from riskml.data.tables import Tables, looked_up, read_tables
from riskml.errors import DataError
from riskml.features.compile import compile_plan
from riskml.features.lookup import lookup_rows, lookup_values
from riskml.features.plan import Lookup
from riskml.recipe.spec import DAY, Events, Labels, Recipe, Reference, Threat
from tests.features.worlds import START, STEP, objects, stamps, table, tables_of

SPEC = Reference("bin", "", "bin", ("country", "risk"), on="card_bin", valid_from="since")
KEYS = st.sampled_from(["a", "b", "c", None])
STEPS = st.integers(0, 8)


def lookups(spec: Reference) -> tuple[Lookup, ...]:
    """The lookups a recipe would make of a table."""
    on = spec.on or spec.key
    return tuple(Lookup(f"bin_{name}", "bin", on, spec.key, name, spec.valid_from) for name in spec.columns)


def reference(spec: Reference, frame: pd.DataFrame, since: Any) -> ReferenceTable:
    """A reference table as ``read_reference`` would give it, without a file."""
    return ReferenceTable(spec.name, spec, frame, since, "", 0, 0)


def events_of(keys: list[Any], steps: list[int]) -> Tables:
    """Tables with events alone: a key and a time each."""
    stream = Events(name="events", path="", id="id", time="at")
    return tables_of(table(stream, {"id": range(len(keys)), "card_bin": objects(keys)}, stamps(steps)))


@st.composite
def worlds(draw: Any) -> Tables:
    """Events and facts on few keys and few instants, so that ties are common; some keys stand on one side alone."""
    many = draw(st.integers(1, 12))
    tables = events_of(
        draw(st.lists(KEYS, min_size=many, max_size=many)), draw(st.lists(STEPS, min_size=many, max_size=many))
    )
    timed = draw(st.booleans())
    facts = st.tuples(st.sampled_from(["a", "b"]), STEPS if timed else st.just(0))
    held = [("z", 0), *draw(st.lists(facts, unique=True, max_size=8))]
    more = len(held) - 1
    countries = ["AT", *draw(st.lists(st.sampled_from(["DE", "FR", None]), min_size=more, max_size=more))]
    risks = [0.1, *draw(st.lists(st.sampled_from([0.1, 7.0, None]), min_size=more, max_size=more))]
    frame = pd.DataFrame({"bin": objects([key for key, _ in held]), "country": objects(countries)})
    frame["risk"] = pd.Series(risks, dtype=np.float64)
    spec = SPEC if timed else replace(SPEC, valid_from=None)
    since = stamps([step for _, step in held]) if timed else None
    return replace(tables, references={"bin": reference(spec, frame, since)})


def slow(tables: Tables, column: str) -> list[Any]:
    """The fact in force at each event by reading every row, None for null."""
    held, out = tables.references["bin"], []
    since = [0] * len(held.frame) if held.since is None else held.since.tolist()
    rows = list(zip(held.frame["bin"], held.frame[column], since, strict=True))
    for key, t in zip(tables.events.frame["card_bin"], tables.events.time.tolist(), strict=True):
        seen = [(since, value) for other, value, since in rows if other == key and since < t]
        value = max(seen, key=lambda pair: pair[0])[1] if seen else None
        out.append(None if value != value else value)
    return out


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_the_last_fact_before_the_event(tables: Tables) -> None:
    """Each event gets the last row of its key from strictly before it; numbers as float32, texts as they are."""
    found = lookup_values(lookups(tables.references["bin"].spec), tables)
    assert found["bin_country"].dtype == object and found["bin_risk"].dtype == np.float32
    assert found["bin_country"].tolist() == slow(tables, "country")
    wanted = np.array([np.nan if v is None else v for v in slow(tables, "risk")], dtype=np.float32)
    assert np.array_equal(found["bin_risk"], wanted, equal_nan=True)


@settings(max_examples=80, deadline=None)
@given(worlds(), st.integers(0, 2**31))
def test_what_holds_later_changes_nothing(tables: Tables, seed: int) -> None:
    """Facts valid from an event's time on may change, go or come: the event's own values stay."""
    held = tables.references["bin"]
    if held.since is None:
        return
    random = np.random.default_rng(seed)
    before = lookup_values(lookups(held.spec), tables)
    for event, t in enumerate(tables.events.time.tolist()):
        known = np.flatnonzero(held.since < t)
        new = pd.DataFrame({"bin": objects(["a", "b"]), "country": objects(["X", "Y"]), "risk": [9.0, 8.0]})
        frame = pd.concat([held.frame.iloc[known], new], ignore_index=True)
        since = np.r_[held.since[known], t + STEP * random.integers(0, 2, 2)]
        other = replace(tables, references={"bin": reference(held.spec, frame, since)})
        after = lookup_values(lookups(held.spec), other)
        for name in before:
            was, now = before[name][event], after[name][event]
            assert was == now or (was != was and now != now), name


def test_keys_of_two_kinds_are_refused() -> None:
    """Numbers on one side and texts on the other would never meet."""
    frame = pd.DataFrame({"bin": [1, 2], "country": objects(["DE", "FR"]), "risk": [0.0, 1.0]})
    tables = replace(events_of(["1", "2"], [1, 2]), references={"bin": reference(SPEC, frame, stamps([0, 0]))})
    with pytest.raises(DataError, match="meets texts and whole numbers") as caught:
        lookup_rows(lookups(SPEC)[0], tables)
    assert "same type" in caught.value.hint


def test_times_and_unknown_tables_are_refused() -> None:
    """A fact that is a time is no feature; a plan of another recipe is told so."""
    frame = pd.DataFrame({"bin": objects(["a"]), "country": pd.to_datetime(["2026-01-01"], utc=True), "risk": [0.0]})
    tables = replace(events_of(["a"], [1]), references={"bin": reference(SPEC, frame, stamps([0]))})
    with pytest.raises(DataError, match="`country` is a time"):
        lookup_values(lookups(SPEC), tables)
    with pytest.raises(DataError, match="no reference table `bin`"):
        lookup_values(lookups(SPEC), events_of(["a"], [1]))
    with pytest.raises(DataError, match="no column `contry`"):
        lookup_values([replace(lookups(SPEC)[0], column="contry")], tables)


# ---- reading -------------------------------------------------------------------------------------------------------


def written(folder: Path, text: str, **changes: Any) -> Reference:
    """A CSV file and the reference that reads it."""
    (folder / "bin.csv").write_text(text)
    return replace(SPEC, path=str(folder / "bin.csv"), **changes)


GOOD = "bin,since,country,risk,more\n007,2026-01-01T00:00:00Z,DE,1,x\n"


def test_rows_are_read_as_they_stand(tmp_path: Path) -> None:
    """Keys keep their zeros; rows without a key and exact copies go and are counted; other columns do not matter."""
    text = GOOD + "007,2026-01-01T00:00:00+00:00,DE,1,y\n,2026-01-01T00:00:00Z,FR,2,x\n012,2026-01-02T00:00:00Z,,,x\n"
    held = read_reference(written(tmp_path, text))
    assert held.frame["bin"].tolist() == ["007", "012"]
    assert (held.duplicates, held.without_key) == (1, 1)
    assert held.since is not None and held.since.tolist() == [1767225600_000000, 1767312000_000000]
    assert list(held.frame.columns) == ["bin", "since", "country", "risk"]


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (GOOD + "007,2026-01-01T00:00:00Z,FR,1,x\n", {}, "rows of 1 keys differ at one `since`"),
        (GOOD + "007,2026-01-02T00:00:00Z,FR,1,x\n", {"valid_from": None}, "rows that differ for one `bin`: 1"),
        (GOOD + "008,,FR,1,x\n", {}, "`since` of tables.bin is null in 1 rows"),
        (GOOD, {"columns": ("contry",)}, r"\[tables.bin\]: column `contry` \(columns\) missing"),
        (GOOD.replace("2026-01-01T00:00:00Z", "2026-01-01"), {}, "the times of `since` of tables.bin have no zone"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, text: str, changes: dict[str, Any], words: str) -> None:
    """Two facts at once, an unknown start or a missing column is one clear error."""
    with pytest.raises(DataError, match=words) as caught:
        read_reference(written(tmp_path, text, **changes))
    assert caught.value.hint


def test_a_recipe_reads_its_reference_tables(tmp_path: Path) -> None:
    """The table is part of the fingerprint, its key is read to the letter in the events, and must be there."""
    (tmp_path / "e.csv").write_text(
        "id,at,card_bin,fraud\n1,2026-01-05T00:00:00Z,007,0\n2,2026-01-06T00:00:00Z,,1\n3,2026-01-07T00:00:00Z,012,0\n"
    )
    spec = written(tmp_path, GOOD)
    recipe = Recipe(
        Threat("t"),
        Events("events", str(tmp_path / "e.csv"), "id", "at"),
        Labels(DAY, "fraud"),
        tables={"bin": spec},
    )
    tables = read_tables(recipe)
    assert looked_up(recipe) == ("card_bin",)
    plan = compile_plan(recipe)
    assert plan.names == ("bin_country", "bin_risk")
    found = lookup_values(plan.lookups, tables)
    assert found["bin_country"].tolist() == ["DE", None, None]
    assert found["bin_risk"].tolist()[:1] == [1.0] and np.isnan(found["bin_risk"][1:]).all()
    written(tmp_path, GOOD.replace("DE", "AT"))
    assert read_tables(recipe).fingerprint != tables.fingerprint
    with pytest.raises(DataError, match=r"`card_bni` \(tables.bin.on\) missing") as caught:
        read_tables(replace(recipe, tables={"bin": replace(spec, on="card_bni")}))
    assert "card_bin" in caught.value.hint


def test_start_is_strict() -> None:
    """A fact valid from the very instant of the event is not yet in force."""
    frame = pd.DataFrame({"bin": objects(["a"]), "country": objects(["DE"]), "risk": [1.0]})
    tables = replace(events_of(["a", "a"], [3, 4]), references={"bin": reference(SPEC, frame, stamps([3]))})
    assert tables.events.time[0] == START + 3 * STEP
    assert lookup_rows(lookups(SPEC)[0], tables).tolist() == [-1, 0]
