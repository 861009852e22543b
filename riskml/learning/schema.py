"""What the model reads: feature names, their kinds and the categories known from training.

In goes a table or one event by name; out come rows of numbers, the same for both: every number is rounded to
float32, anything not finite is missing (NaN). A category is learned from 20 training rows, and so is null; a value
that is rarer than that, or was never seen, is missing, and null too where it was rare. A column with more than 50
values may name people or shops: its categories are kept as hashes, and say no more than whether an event has one of
them. A missing column is refused. Loads no pandas to encode one event, so a release can use it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, near_matches

if TYPE_CHECKING:
    import pandas as pd

NUMBER, CATEGORY = "number", "category"
MOST_CATEGORIES = 250
MOST_PLAIN = 50  # values of a column up to which its categories are kept as they are
_HASH = re.compile("sha256:[0-9a-f]{16}")
NULL = "(null)"  # how null is told among categories


@dataclass(frozen=True)
class Schema:
    """Names in model order; ``kinds`` of each; ``categories`` of the categorical ones, the code being the position.

    ``nulls`` are the categorical features whose null is a value like any other: its code follows the last category.
    The categories of the ``hashed`` ones are what ``hashed_text`` gives, and an event may bring either form.
    """

    names: tuple[str, ...]
    kinds: Mapping[str, str]
    categories: Mapping[str, tuple[str, ...]]
    nulls: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> dict[str, Mapping[str, float]]:
        """Per categorical feature: the text of a category, as an event brings it, to its code."""
        plain = {name: {text: float(i) for i, text in enumerate(known)} for name, known in self.categories.items()}
        return {name: _Hashed(codes) if name in self.hashed else codes for name, codes in plain.items()}

    @cached_property
    def absent(self) -> dict[str, float]:
        """Per categorical feature: the code of null, NaN where null means no more than a rare value."""
        return {name: float(len(known)) if name in self.nulls else math.nan for name, known in self.categories.items()}

    def labels(self, name: str, texts: Iterable[object] = ()) -> tuple[str, ...] | None:
        """What the codes of a categorical feature stand for, in order; None for a number.

        ``texts`` are values that may be shown in place of their hashes.
        """
        known = self.categories.get(name)
        if known is not None and name in self.hashed:
            shown = {hashed_text(_text(value)): _text(value) for value in texts}
            known = tuple(shown.get(text, text) for text in known)
        return (*known, NULL) if known is not None and name in self.nulls else known

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical features."""
        return [i for i, name in enumerate(self.names) if self.kinds[name] == CATEGORY]

    def encode(self, frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Matrix [rows, features] of float32, which holds every value of the model exactly.

        Args:
            frame: columns by name, in any order; further columns are ignored.
            rows: positions to take; all if None.

        Raises:
            DataError: a column is missing.
        """
        count = len(frame) if rows is None else len(rows)
        out = np.empty((count, len(self.names)), dtype=np.float32)
        for at, name in enumerate(self.names):
            if name not in frame.columns:
                raise _missing(name, list(frame.columns))
            column = frame[name]
            taken = column if rows is None else column.iloc[rows]
            out[:, at] = self._numbers(name, taken) if self.kinds[name] == NUMBER else self._codes(name, taken)
        return out

    def encode_row(self, row: Mapping[str, object]) -> NDArray[np.float64]:
        """Vector [features] of one event: bit for bit what ``encode`` gives for it."""
        out = np.empty(len(self.names), dtype=np.float64)
        for at, name in enumerate(self.names):
            if name not in row:
                raise _missing(name, list(row))
            value = row[name]
            if self.kinds[name] == CATEGORY:
                null = _null(value)
                out[at] = self.absent[name] if null else self.codes[name].get(_text(value), math.nan)
            elif _null(value):
                out[at] = math.nan
            else:
                out[at] = _single(name, value)
        return out

    def _numbers(self, name: str, column: Any) -> NDArray[np.float32]:
        """A numeric column as float32 with NaN for anything not finite."""
        try:
            with np.errstate(over="ignore"):
                values = column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"column `{name}` should hold numbers: {error}", "check the type of the column") from error
        values[~np.isfinite(values)] = np.nan
        return np.asarray(values, dtype=np.float32)

    def _codes(self, name: str, column: Any) -> NDArray[np.float32]:
        """A categorical column as codes, by looking up each distinct value once."""
        import pandas as pd

        positions, distinct = pd.factorize(column.astype(object).to_numpy(dtype=object), use_na_sentinel=True)
        known = self.codes[name]
        table = np.array(
            [known.get(_text(value), math.nan) for value in distinct] + [self.absent[name]], dtype=np.float32
        )
        return table[positions]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready form; without hashed categories it is that of schemas written before there were any."""
        body: dict[str, object] = {
            "names": list(self.names),
            "kinds": dict(self.kinds),
            "categories": {name: list(known) for name, known in self.categories.items()},
            "nulls": list(self.nulls),
        }
        return body | {"hashed": list(self.hashed)} if self.hashed else body

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Schema:
        """The inverse of ``to_dict``; a schema that tells of no nulls or hashes has none.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: the body is not that of a schema.
        """
        categories = {str(name): tuple(str(v) for v in known) for name, known in body["categories"].items()}
        kinds = {str(k): str(v) for k, v in body["kinds"].items()}
        nulls, hashed = (tuple(str(name) for name in body.get(key, ())) for key in ("nulls", "hashed"))
        names = tuple(body["names"])
        fit = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        fit = fit and kinds.keys() >= set(names) and set(kinds.values()) <= {NUMBER, CATEGORY}  # some were not kept
        fit = fit and categories.keys() == {name for name, kind in kinds.items() if kind == CATEGORY}
        if not fit or not {*nulls, *hashed} <= categories.keys():
            raise ValueError("the schema of the model does not fit together")
        return cls(names, kinds, categories, nulls, hashed)


class _Hashed(Mapping[str, float]):
    """Codes of hashed categories, asked for by their texts or by their hashes."""

    def __init__(self, codes: Mapping[str, float]) -> None:
        self._codes = codes

    def __getitem__(self, text: str) -> float:
        return self._codes[hashed_text(text)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._codes)

    def __len__(self) -> int:
        return len(self._codes)


def hashed_text(text: str) -> str:
    """How a category is kept that may not be told: 64 bits of its SHA-256; a text of that form stays as it is.

    >>> hashed_text("Corner Shop, Vienna")
    'sha256:bd10c57f0b6bf6c6'
    """
    if text.startswith("sha256:") and _HASH.fullmatch(text):
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def learn_schema(
    names: Sequence[str], kinds: Mapping[str, str], frame: pd.DataFrame, rows: NDArray[np.int64], least: int = 20
) -> Schema:
    """The schema of ``names``; categories seen at least ``least`` times in ``rows``, the commonest 250 at most.

    Null is a value of its own where it was seen as often, beside at least one such category. A column with more than
    50 values in ``rows`` is hashed.
    """
    categories: dict[str, tuple[str, ...]] = {}
    nulls, hashed = [], []
    for name in names:
        if kinds[name] != CATEGORY:
            continue
        counts: dict[str, int] = {}
        for value, count in frame[name].iloc[rows].astype(object).value_counts(dropna=True, sort=False).items():
            text = _text(value)
            counts[text] = counts.get(text, 0) + int(count)
        common = sorted((text for text in counts if counts[text] >= least), key=lambda t: (-counts[t], t))
        kept = common[:MOST_CATEGORIES]
        if len(counts) > MOST_PLAIN:
            hashed.append(name)
            kept = [hashed_text(text) for text in kept]
        categories[name] = tuple(sorted(set(kept)))
        if common and len(rows) - sum(counts.values()) >= least:
            nulls.append(name)
    return Schema(tuple(names), {name: kinds[name] for name in names}, categories, tuple(nulls), tuple(hashed))


def _text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def _null(value: object) -> bool:
    """None, NaN, NaT and pandas' NA: whatever does not equal itself."""
    if value is None:
        return True
    try:
        return not bool(value == value)
    except TypeError:
        return True


def _single(name: str, value: object) -> float:
    """One number rounded to float32; NaN if not finite."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise DataError(f"`{name}` should be a number, not {value!r}", "send numbers as numbers")
    with np.errstate(over="ignore"):
        number = float(np.float32(float(value)))
    return number if math.isfinite(number) else math.nan


def _missing(name: str, present: Sequence[object]) -> DataError:
    hint = near_matches(name, (str(p) for p in present)) or "compute the features of the model's plan first"
    return DataError(f"the model needs the column `{name}`, which is not there", hint)
