"""What so few frauds can support, in plain figures and sentences.

In goes a number of frauds and a measured recall; out come the interval of that recall, the smallest difference between
two models that these frauds could decide, and how many frauds a given difference would need. Binomial arithmetic, so
best case: frauds of one campaign count for less than their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FEW = 50  # below this many frauds in training, what this folder says applies
LEAST = 5  # below this, no model
CONFIDENCE, POWER = 1.959964, 0.841621  # normal quantiles: 95 in 100 two-sided, 80 in 100 detected
DISAGREE = 0.4  # share of frauds that only one of two models catches, where nothing better is known


@dataclass(frozen=True)
class Support:
    """``low`` and ``high`` bound the recall; ``decidable`` is the smallest recall difference that can be decided."""

    frauds: int
    caught: float
    low: float
    high: float
    decidable: float
    needed: dict[str, int]
    sentence: str


def support(frauds: int, caught: float) -> Support:
    """What ``frauds`` judged frauds, a share ``caught`` of them found within the alerts, can say."""
    low, high = wilson(frauds, caught)
    least = decidable(frauds)
    needed = {f"{difference:g}": frauds_needed(difference) for difference in (0.05, 0.1, 0.2)}
    apart = f"they differ by {least:.0%} of recall or more" if least < 1 else "nearly every fraud tells them apart"
    sentence = (
        f"{caught:.0%} of {frauds} frauds lie within the alerts; the same model on other frauds of this kind would "
        f"find between {low:.0%} and {high:.0%} of them (95 %). Two models can be told apart on {frauds} frauds only "
        f"if {apart}; a difference of 10 % takes about {needed['0.1']:,} frauds."
    )
    if not frauds:
        sentence = (
            "No later fraud could judge the model, so nothing is known of its recall; "
            f"to tell two models apart that differ by 10 % of recall takes about {needed['0.1']:,} frauds."
        )
    return Support(frauds, caught, low, high, least, needed, sentence)


def wilson(n: int, share: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n``; (0, 1) where n is 0."""
    if n == 0:
        return 0.0, 1.0
    z2 = CONFIDENCE**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = CONFIDENCE / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def frauds_needed(difference: float, disagree: float = DISAGREE) -> int:
    """Frauds until a recall difference is found with a chance of 80 %: McNemar's test of paired shares.

    Connor (1987): (z₁√d + z₂√(d − δ²))² / δ², d being the share of frauds that one of the two models alone catches,
    at least δ.
    """
    share = max(disagree, difference)
    top = CONFIDENCE * math.sqrt(share) + POWER * math.sqrt(max(0.0, share - difference**2))
    return math.ceil(top**2 / difference**2)


def decidable(frauds: int, disagree: float = DISAGREE) -> float:
    """The smallest difference, in whole hundredths, for which ``frauds`` suffice; 1 if none does."""
    return next((at / 100 for at in range(1, 100) if frauds_needed(at / 100, disagree) <= frauds), 1.0)
