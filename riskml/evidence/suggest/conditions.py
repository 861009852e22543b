"""Single readable conditions on one term, with the rows they hold on: ``amount_usd >= 5000``, ``channel == 'api'``.

In go terms and which rows are frauds, of the earlier days alone; out come frozen ``Condition``s. Thresholds are round
numbers near the quantiles of all rows and of the frauds; where nulls carry fraud, ``(… or x is null)`` is offered
beside. Conditions on which fraud is no more frequent than elsewhere are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.evidence.suggest import readable
from riskml.evidence.suggest.terms import Term

__all__ = ["Condition", "conditions"]

QUANTILES = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999])
OF_FRAUDS = np.linspace(0.05, 0.95, 10)
FEW = 8  # whole numbers of so few values are offered one by one
COMMON = 20  # a word is offered from so many rows
LEAST_FRAUDS = 2  # that a word, or the nulls of a column, must carry
LONGEST_SET = 4

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """``text`` as the rule writes it, the rows it holds on [n], and the term and side it bounds.

    A rule takes one condition a (term, side): both bounds of a range are two sides.
    """

    text: str
    holds: Bools
    term: str
    side: str
    features: bool


def conditions(term: Term, fraud: Bools) -> Iterator[Condition]:
    """Every condition offered on one term; ``fraud`` [n] are the known frauds among the rows of its values."""
    null = _null(term)
    nulls = int(np.count_nonzero(null & fraud)) >= LEAST_FRAUDS
    for text, holds, side in _plain(term, fraud, null):
        yield Condition(text, holds, term.text, side, term.features)
        if nulls:
            yield Condition(f"({text} or {term.missing})", holds | null, term.text, side, term.features)
    if nulls:
        alone = f"({term.missing})" if " or " in term.unknown else term.missing
        yield Condition(alone, null, term.text, "null", term.features)


def _null(term: Term) -> Bools:
    if term.kind == "text":
        return np.asarray(pd.isna(pd.Series(term.values, dtype=object)), bool)
    return np.asarray(np.isnan(term.values))


def _plain(term: Term, fraud: Bools, null: Bools) -> Iterator[tuple[str, Bools, str]]:
    if term.kind == "text":
        yield from _words(term, fraud, null)
    elif term.kind == "truth":
        yield term.text, np.asarray(term.values == 1), "is"
    else:
        yield from _bounds(term, fraud, null)


def _bounds(term: Term, fraud: Bools, null: Bools) -> Iterator[tuple[str, Bools, str]]:
    """Both sides of round thresholds, or each value of a column with few."""
    known = term.values[~null]
    whole = bool(np.all(known == np.rint(known)))
    if whole and term.kind != "time":
        for value in _few(known):
            yield f"{term.text} == {readable.number(value)}", term.values == value, "is"
    share = bool(known.min() >= 0 and known.max() <= 1) and not whole
    bad = term.values[fraud & ~null]
    near = np.concatenate([np.quantile(known, QUANTILES), np.quantile(bad, OF_FRAUDS) if len(bad) else known[:0]])
    least, most = float(known.min()), float(known.max())
    write = readable.duration if term.kind == "time" else readable.number
    for edge in readable.rounds(near.tolist(), whole=whole, share=share, time=term.kind == "time"):
        if least < edge <= most:
            yield f"{term.text} >= {write(edge)}", term.values >= edge, "from"
            yield f"{term.text} < {write(edge)}", term.values < edge, "below"


def _few(known: Floats) -> Floats:
    """The different values, if there are no more than ``FEW``; none otherwise."""
    for part in (known[:1_000], known):
        values = np.unique(part)
        if len(values) > FEW:
            return known[:0]
    return values


def _words(term: Term, fraud: Bools, null: Bools) -> Iterator[tuple[str, Bools, str]]:
    """Common words that carry fraud, alone and in sets of the densest, and all words but one."""
    codes, words = pd.factorize(pd.Series(term.values, dtype=object), use_na_sentinel=True)
    codes = np.where(null, len(words), codes)
    rows = np.bincount(codes, minlength=len(words) + 1)[:-1]
    frauds = np.bincount(codes[fraud], minlength=len(words) + 1)[:-1]
    common = [index for index in np.argsort(-rows, kind="stable")[:FEW] if rows[index] >= COMMON]
    bad = np.flatnonzero((rows >= COMMON) & (frauds >= LEAST_FRAUDS))
    dense = sorted(bad.tolist(), key=lambda index: (-frauds[index] / rows[index], str(words[index])))
    for index in dense[:FEW]:
        yield f"{term.text} == {readable.text(str(words[index]))}", codes == index, "is"
    for size in range(2, min(LONGEST_SET, len(dense)) + 1):
        listed = ", ".join(readable.text(word) for word in sorted(str(words[index]) for index in dense[:size]))
        yield f"{term.text} in ({listed})", np.isin(codes, dense[:size]), "is"
    for index in common:
        yield f"{term.text} != {readable.text(str(words[index]))}", (codes != index) & ~null, "not"
