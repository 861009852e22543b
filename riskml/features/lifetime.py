"""What a folded summary and the rows after it come to together, without touching the summary.

In go a summary of old rows and a pile of newer ones; out comes the node's value as if the rows had been added. What can
be read off both is; anything else adds the rows to a copy. Refuses nothing.
"""

from __future__ import annotations

from riskml.features.pile import Pile
from riskml.features.plan import Node
from riskml.features.span import total_of
from riskml.features.summary import Kinds, Rows, Summary, Total


def beside(summary: Summary, node: Node, pile: Pile, place: int | None, high: int, t: int) -> float | None:
    """The node's value at ``t`` of the summary and the pile's first ``high`` rows; ``place`` is its column there."""
    if high == 0:
        return summary.result(t)
    if place is None and isinstance(summary, Rows):
        return _rows(summary, pile, high, t)
    if place is not None and isinstance(summary, Total | Kinds):
        values = [value for value in pile.columns[place][:high] if value is not None]
        if isinstance(summary, Total):
            total = total_of([*summary.parts, *values])
            if total is None or not summary.mean:
                return total
            count = summary.count + len(values)
            return total / count if count else None
        if summary.aggregate == "distinct":
            return float(len(summary.counts) + len({value for value in values if value not in summary.counts}))
    made = summary.copy()
    for at in range(high):
        value = None if place is None else pile.columns[place][at]
        if place is None or value is not None:
            made.add(pile.times[at], pile.orders[at], value)
    return made.result(t)


def _rows(summary: Rows, pile: Pile, high: int, t: int) -> float | None:
    if summary.aggregate == "count":
        return float(summary.count + high)
    if summary.aggregate == "is_new":
        return 0.0
    if summary.first is None or summary.last is None:
        end = pile.times[0] if summary.aggregate == "since_first" else pile.times[high - 1]
    elif summary.aggregate == "since_first":
        end = min(summary.first[0], pile.times[0])
    else:
        end = max(summary.last[0], pile.times[high - 1])
    return (t - end) / 1e6
