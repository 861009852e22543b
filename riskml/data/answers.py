"""Label rows in, what each says and which event it means out: the one reading that checks and training share.

Nothing is refused here: what cannot be read or found is marked, and each caller says what that means to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from riskml.recipe.spec import Recipe

FRAUD, GOOD, UNKNOWN, UNREADABLE = 1, 0, -1, -2
_WORDS = dict.fromkeys(("1", "1.0", "true", "yes", "fraud"), FRAUD)
_WORDS |= dict.fromkeys(("0", "0.0", "false", "no", "good", "legit", "genuine"), GOOD)


def read_answers(column: pd.Series[Any]) -> npt.NDArray[np.int8]:
    """FRAUD, GOOD, UNKNOWN for null or UNREADABLE per row, from booleans, 0 and 1 or the usual words."""
    codes, values = pd.factorize(column, use_na_sentinel=True)
    meaning = [_WORDS.get(str(value).strip().casefold(), UNREADABLE) for value in values]
    return np.array([*meaning, UNKNOWN], dtype=np.int8)[codes]


def matched_columns(recipe: Recipe) -> tuple[str, str] | None:
    """The column of the events and that of the labels that meet; None if the recipe names no single pair."""
    pairs = dict(recipe.labels.match)
    if not pairs and recipe.events.id:
        pairs = {recipe.events.id: recipe.events.id}
    return next(iter(pairs.items())) if len(pairs) == 1 else None


def event_rows(own: pd.Series[Any], wanted: pd.Series[Any]) -> npt.NDArray[np.int64] | None:
    """Event row of each label row, -1 where there is none; None if the events' column does not identify one event."""
    keys = pd.Index(own)
    return np.asarray(keys.get_indexer(pd.Index(wanted)), dtype=np.int64) if keys.is_unique else None
