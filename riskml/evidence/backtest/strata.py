"""Strata of stopped alerts by score and amount, so that each release speaks for alerts like itself.

In go units with logged chances; out come codes of few strata, chosen from scores, amounts and releases and never from
outcomes, and the units with weights brought to each stratum's known size. A stratum with too few releases is merged
into its neighbour. Alerts without a chance get no stratum and no weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from riskml.evidence.backtest.units import Units

__all__ = ["LEAST", "cells", "spread", "strata", "stratified"]

LEAST = 10  # releases a stratum needs, or its mean says little of the rest
BANDS = 3  # bands of score, and of amount, at most

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


def strata(units: Units) -> Int64:
    """Stratum of each sampled unit, -1 for all others [n]; no stratum mixes sides that alerted differently."""
    found = np.full(len(units), -1, np.int64)
    seen = units.weight > 0
    for model in (False, True):
        for rule in (False, True):
            rows = np.flatnonzero(units.sampled & (units.model == model) & (units.rule == rule))
            if len(rows):
                found[rows] = found.max() + 1 + cells(units.score[rows], units.value[rows], seen[rows])[1]
    return found


def cells(score: Floats, value: Floats, released: Bools, least: int = LEAST) -> tuple[Int64, Int64]:
    """Bands of score with as many alerts each, and codes of their parts by amount, both from 0 and ascending [n].

    Amounts are cut into equal parts of the sum of their roots, which lies between equal counts and equal money
    (W. G. Cochran, Sampling Techniques, 3rd ed. 1977, 5A.7). Every code has ``least`` releases, if all have as many.
    """
    room = int(released.sum()) // least
    wide = BANDS if score.min() < score.max() else 1
    bands = min(wide, max(1, int(room**0.5)))
    parts = min(BANDS, max(1, room // bands))
    band = _merged(_cut(score, np.ones(len(score)), bands), released, least)
    found = np.zeros(len(score), np.int64)
    for code in range(int(band.max()) + 1):
        rows = np.flatnonzero(band == code)
        inner = _cut(value[rows], np.sqrt(value[rows]), parts)
        found[rows] = found.max() + (code > 0) + _merged(inner, released[rows], least)
    return band, found


def _cut(values: Floats, size: Floats, parts: int) -> Int64:
    """Which of ``parts`` intervals of ``values`` each lies in, intervals of about equal total ``size``; ties stay."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(size[order])
    if parts == 1 or share[-1] <= 0:
        return np.zeros(len(values), np.int64)
    edges = values[order][np.searchsorted(share, share[-1] * np.arange(1, parts) / parts)]
    return np.searchsorted(np.unique(edges), values, side="right").astype(np.int64)


def _merged(codes: Int64, released: Bools, least: int) -> Int64:
    """Codes with neighbours joined, from the lowest up, until each has ``least`` releases; a rest joins the last."""
    counts = np.bincount(codes, released, int(codes.max()) + 1)
    made = np.zeros(len(counts), np.int64)
    now, held = 0, 0.0
    for code, count in enumerate(counts):
        made[code] = now
        held += count
        if held >= least and counts[code + 1 :].sum() >= least:
            now, held = now + 1, 0.0
    return made[codes]


def stratified(units: Units) -> Units:
    """The units with the weights of released ones brought to their stratum's size: each stratum's sum of weights is
    its number of alerts.

    Sums of weighted outcomes are then sum_h N_h ybar_h (post-stratified Hajek means; C.-E. Sarndal, B. Swensson,
    J. Wretman, Model Assisted Survey Sampling, 1992, 7.6). Applied twice it changes nothing more.
    """
    return units if not units.sampled.any() else _brought(units, strata(units))


def _brought(units: Units, codes: Int64) -> Units:
    rows = np.flatnonzero(codes >= 0)
    code = codes[rows]
    size = np.bincount(code)
    held = np.bincount(code, units.weight[rows])
    factor = np.divide(size, held, out=np.zeros(len(size)), where=held > 0)
    weight = units.weight.copy()
    weight[rows] *= factor[code]
    return replace(units, weight=weight)


def spread(units: Units, codes: Int64, outcome: Floats) -> Floats:
    """What each stratified unit adds to its stratum's N_h ybar_h, so that resampled sums spread as estimates do [n].

    A release adds the mean and its weighted distance from it, an unseen one the mean: the linearised contributions of
    a post-stratified estimator (Sarndal et al. 7.6), with n / (n - 1) for the mean's own error. They add up to
    N_h ybar_h. ``outcome`` is read at releases only; units outside any stratum get 0.
    """
    found = np.zeros(len(units))
    rows = np.flatnonzero(codes >= 0)
    code, weight, y = codes[rows], units.weight[rows], np.where(units.weight[rows] > 0, outcome[rows], 0.0)
    held = np.bincount(code, weight)
    mean = np.divide(np.bincount(code, weight * y), held, out=np.zeros(len(held)), where=held > 0)
    many = np.bincount(code, weight > 0)
    free = np.sqrt(np.divide(many, many - 1, out=np.ones(len(many)), where=many > 1))
    size = np.bincount(code)
    factor = np.divide(size, held, out=np.zeros(len(held)), where=held > 0)
    found[rows] = mean[code] + (free * factor)[code] * weight * (y - mean[code])
    return found
