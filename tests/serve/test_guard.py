"""The guard: tokens, kinds of bodies, and the one parameter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskml.serve.guard import Guard, read_reasons
from riskml.serve.replies import Refusal
from riskml.serve.settings import Limits

JSON = b"application/json"
PLAIN = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.binary(max_size=60))
def test_no_bytes_but_the_token_pass(shown: bytes) -> None:
    """Whatever is shown, it is let in only if it is the token."""
    guard = Guard("a-token-of-16-chr", Limits())
    guard.admit(b"Bearer a-token-of-16-chr")
    guard.admit(b"bearer a-token-of-16-chr")
    with pytest.raises(Refusal) as caught:
        guard.admit(shown)
    assert caught.value.status == 401


@given(st.dictionaries(st.text(max_size=5), PLAIN | st.text(max_size=5) | st.lists(PLAIN, max_size=3), max_size=5))
def test_a_row_comes_through_as_json_reads_it(row: dict[str, object]) -> None:
    """Plain values, also long integers, are what `json` makes of them."""
    body = json.dumps(row).encode()
    assert Guard(None, Limits()).row(body, JSON) == json.loads(body)


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    """Any bytes are a row or a refusal."""
    guard = Guard(None, Limits())
    for read in (guard.row, guard.observation, guard.share):
        try:
            read(body, JSON)  # type: ignore[operator]
        except Refusal as refusal:
            assert refusal.status in (400, 422)


@given(st.binary(max_size=20))
def test_no_query_breaks_the_reader(query: bytes) -> None:
    """Any query is a number of reasons within the limit, or a refusal."""
    try:
        assert 0 <= read_reasons(query, 3, 20) <= 20
    except Refusal as refusal:
        assert refusal.status == 422


def test_rows_of_events_are_counted() -> None:
    """One row or several, not both, not none, not too many."""
    guard = Guard(None, Limits(rows=2))
    assert guard.observation(b'{"source": "a", "row": {"b": 1}}', JSON) == ("a", [{"b": 1}])
    assert guard.observation(b'{"source": "a", "rows": [{}, {}]}', b"application/json; charset=utf-8")[1] == [{}, {}]
    for body, status in ((b'{"source": "a"}', 422), (b'{"source": "a", "row": {}, "rows": []}', 422)):
        with pytest.raises(Refusal) as caught:
            guard.observation(body, JSON)
        assert caught.value.status == status
    with pytest.raises(Refusal) as caught:
        guard.observation(b'{"source": "a", "rows": [{}, {}, {}]}', JSON)
    assert caught.value.status == 413


def test_without_a_token_nobody_changes_anything() -> None:
    """Asking is free then; changing is a 403."""
    Guard(None, Limits()).admit(b"")
    Guard("a-token-of-16-chr", Limits()).admit_operator()
    with pytest.raises(Refusal) as caught:
        Guard(None, Limits()).admit_operator()
    assert caught.value.status == 403
