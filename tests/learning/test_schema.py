"""What the model reads, from a table and from one event."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.errors import DataError
from riskml.learning.schema import MOST_PLAIN, Schema, hashed_text, learn_schema

SCHEMA = Schema(("x", "c", "z"), {"x": "number", "c": "category", "z": "number"}, {"c": ("AT", "CH", "1")})
NULLS = Schema(SCHEMA.names, SCHEMA.kinds, SCHEMA.categories, ("c",))
HASHED = Schema(
    SCHEMA.names, SCHEMA.kinds, {"c": tuple(sorted(map(hashed_text, SCHEMA.categories["c"])))}, ("c",), ("c",)
)
numbers = st.one_of(st.none(), st.floats(width=64), st.integers(-(2**60), 2**60), st.booleans())
words = st.one_of(st.none(), st.sampled_from(["AT", "CH", "DE", "1", ""]), st.text(max_size=3))


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, words, st.floats(allow_nan=True)), min_size=1, max_size=12))
def test_a_table_and_its_rows_are_encoded_alike(rows: list[tuple[object, object, float]]) -> None:
    """Encoding events one at a time gives bit for bit what the table gives, whatever nulls and strangers are in it."""
    x = [float("nan") if r[0] is None else r[0] for r in rows]
    frame = pd.DataFrame(
        {
            "z": [r[2] for r in rows],
            "x": np.array(x, dtype=np.float64),
            "c": pd.Series([r[1] for r in rows], dtype=object),
        }
    )
    for schema in (SCHEMA, NULLS, HASHED):
        table = schema.encode(frame).astype(np.float64)
        single = np.array([schema.encode_row({"x": r[0], "c": r[1], "z": r[2], "more": 1}) for r in rows])
        assert np.array_equal(table, single, equal_nan=True)
        assert not np.isinf(table).any()


@pytest.mark.parametrize("kind", ["object", "category", "str"])
def test_codes_do_not_depend_on_the_batch(kind: str) -> None:
    """The code of a category is the one learned, however the column is stored and whatever else is in it."""
    column = pd.Series(["CH", None, "DE", "AT"]).astype(kind)
    frame = pd.DataFrame({"x": 0.0, "c": column, "z": 0.0})
    assert SCHEMA.encode(frame)[:, 1].tolist()[:1] == [1.0]
    assert np.isnan(SCHEMA.encode(frame)[1:3, 1]).all()
    assert SCHEMA.encode(frame, np.array([3]))[:, 1].tolist() == [0.0]


def test_rare_categories_are_not_learned() -> None:
    """A category below the least count, or seen only outside the training rows, is unseen."""
    frame = pd.DataFrame({"c": ["a"] * 30 + ["b"] * 5 + [None] * 30 + ["late"] * 50})
    made = learn_schema(["c"], {"c": "category"}, frame, np.arange(65), least=20)
    assert made.categories == {"c": ("a",)}
    assert math.isnan(made.encode_row({"c": "b"})[0])


def test_null_is_a_value_where_it_is_common() -> None:
    """Null seen often beside a category has a code of its own; a rare or unseen value, and a rare null, are missing."""
    frame = pd.DataFrame({"c": pd.Series(["a"] * 30 + ["b"] * 5 + [None] * 20, dtype=object)})
    made = learn_schema(["c"], {"c": "category"}, frame, np.arange(55), least=20)
    assert (made.categories["c"], made.nulls, made.labels("c")) == (("a",), ("c",), ("a", "(null)"))
    assert [made.encode_row({"c": value})[0] for value in ("a", None, float("nan"))] == [0.0, 1.0, 1.0]
    assert all(math.isnan(made.encode_row({"c": value})[0]) for value in ("b", "never"))
    assert Schema.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    fewer = learn_schema(["c"], {"c": "category"}, frame, np.arange(54), least=20)
    assert fewer.nulls == () and math.isnan(fewer.encode_row({"c": None})[0])
    empty = learn_schema(["c"], {"c": "category"}, frame, np.arange(35, 55), least=20)
    assert empty.nulls == () and empty.labels("c") == ()


def test_a_schema_that_does_not_tell_of_nulls_takes_none_for_a_value() -> None:
    """Schemas written before null could be a value are read as they were meant."""
    body = SCHEMA.to_dict()
    del body["nulls"]
    assert Schema.from_dict(body) == SCHEMA and math.isnan(
        Schema.from_dict(body).encode_row({"x": 1, "c": None, "z": 1})[1]
    )


def test_a_missing_column_is_refused_with_a_near_match() -> None:
    """The error names the column and the nearest one there is."""
    with pytest.raises(DataError, match="`c`"):
        SCHEMA.encode(pd.DataFrame({"x": [1.0], "z": [1.0]}))
    with pytest.raises(DataError) as caught:
        Schema(("amount",), {"amount": "number"}, {}).encode_row({"amonut": 1.0})
    assert "amonut" in caught.value.hint


@pytest.mark.parametrize("value", ["12", b"1", [1]])
def test_words_are_no_numbers(value: object) -> None:
    """A number sent as text is refused, not guessed."""
    with pytest.raises(DataError, match="should be a number"):
        SCHEMA.encode_row({"x": value, "c": None, "z": 0.0})


def test_survives_json() -> None:
    """A schema read from its JSON is the same schema."""
    assert Schema.from_dict(json.loads(json.dumps(SCHEMA.to_dict()))) == SCHEMA


def shops(values: int) -> pd.DataFrame:
    """A column with so many values, each seen 30 times, and a value seen once."""
    one = ["once"]
    return pd.DataFrame({"c": np.repeat([f"shop {i}" for i in range(values)], 30).tolist() + one})


def test_categories_of_many_values_are_kept_as_hashes() -> None:
    """Above 50 values no text of the column is in the schema, and every learned one still has a code of its own."""
    frame = shops(MOST_PLAIN)
    made = learn_schema(["c"], {"c": "category"}, frame, np.arange(len(frame)))
    assert made.hashed == ("c",) and "shop" not in json.dumps(made.to_dict())
    codes = made.encode(frame)[:, 0]
    assert sorted(set(codes[:-1].tolist())) == list(range(MOST_PLAIN)) and math.isnan(codes[-1])
    for at in (0, 31, len(frame) - 31):
        text = frame["c"][at]
        assert made.encode_row({"c": text})[0] == made.encode_row({"c": hashed_text(text)})[0] == codes[at]
        assert made.labels("c", frame["c"].unique())[int(codes[at])] == text  # type: ignore[index]
    assert Schema.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    few = shops(MOST_PLAIN - 1)
    assert learn_schema(["c"], {"c": "category"}, few, np.arange(len(few))).hashed == ()


def test_a_hash_is_what_another_program_computes() -> None:
    """The stored form is the start of the SHA-256 of the UTF-8 text; only a text of that very form stays as it is."""
    assert hashed_text("a") == "sha256:ca978112ca1bbdca" == hashed_text("sha256:ca978112ca1bbdca")
    for other in ("sha256:", "sha256:ca978112ca1bbdc", "sha256:CA978112CA1BBDCA", "\ud800"):
        assert hashed_text(other) != other and hashed_text(hashed_text(other)) == hashed_text(other)


def test_schemas_without_hashes_are_written_as_ever() -> None:
    """A model stored before keeps its digest: nothing of hashes is in the JSON of a schema that has none."""
    assert "hashed" not in SCHEMA.to_dict() and Schema.from_dict(SCHEMA.to_dict()).hashed == ()
