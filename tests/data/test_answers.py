"""What label rows say and which event they mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from riskml.data.answers import FRAUD, GOOD, UNKNOWN, UNREADABLE, event_rows, read_answers


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([" Fraud", "YES", "1.0", "legit", "no", None, "maybe"], [FRAUD] * 3 + [GOOD] * 2 + [UNKNOWN, UNREADABLE]),
        ([1.0, 0.0, np.nan, 2.0], [FRAUD, GOOD, UNKNOWN, UNREADABLE]),
        ([True, False], [FRAUD, GOOD]),
        ([None, None], [UNKNOWN, UNKNOWN]),
    ],
)
def test_answers_are_read_from_words_and_numbers(values: list[object], said: list[int]) -> None:
    """Booleans, 0 and 1 and the usual words are understood, nulls are silence and anything else is marked."""
    assert read_answers(pd.Series(values)).tolist() == said


def test_label_rows_find_their_event() -> None:
    """Each label row meets the event of its key; a key of several events meets none at all."""
    assert event_rows(pd.Series(["a", "b", "c"]), pd.Series(["c", "x", "a", "c"])).tolist() == [2, -1, 0, 2]
    assert event_rows(pd.Series(["a", "a"]), pd.Series(["a"])) is None
