"""Facts read back: the intervals of ``Backtest.to_dict()`` as numbers again, null as NaN.

In go JSON-ready mappings; out come the frozen values that words are made of. Nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from riskml.evidence.backtest.verdict import Interval

__all__ = ["interval", "number", "share"]


def number(value: object) -> float:
    """A number, NaN for null."""
    return float(value) if isinstance(value, int | float) else float("nan")


def interval(body: Mapping[str, Any]) -> Interval:
    """An interval with its mark."""
    return Interval(number(body["estimate"]), number(body["low"]), number(body["high"]), str(body["mark"]))


def share(body: Mapping[str, Any]) -> Interval:
    """An interval of a share, which no approximation takes below nothing or above all."""
    found = interval(body)
    return Interval(_within(found.estimate), _within(found.low), _within(found.high), found.mark)


def _within(value: float) -> float:
    return value if math.isnan(value) else min(max(value, 0.0), 1.0)
