"""Directions the recipe promises: a score that never falls, or never rises, as a feature grows.

In go the recipe's ``train.monotone`` and the features of the matrix; out come LightGBM's parameters. They belong to
the booster, not to the binned data (LightGBM ignores them there), so folds and the last fit obey them alike. The
promise holds between known values: a null takes its own path. Features that are unknown, categorical or no longer
in the matrix are refused, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from riskml.errors import TrainingError, near_matches

SIGNS = {"up": 1, "down": -1}
METHOD = "basic"  # the only one of LightGBM 4.7's that always keeps the promise: "advanced" broke it in 25 fits of 25


def monotone(
    wish: Mapping[str, str],
    names: Sequence[str],
    categorical: Sequence[int] = (),
    dropped: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Parameters of the booster; empty without a wish.

    Args:
        wish: feature to "up" or "down".
        names: features of the matrix, in the order of its columns.
        categorical: positions of categorical features.
        dropped: features that left the matrix, each with the reason.

    Raises:
        TrainingError: naming every feature that cannot be constrained, with near matches.
    """
    if not wish:
        return {}
    kinds = {names[at] for at in categorical}
    problems = list(_problems(wish, names, kinds, dropped or {}))
    if problems:
        raise TrainingError("; ".join(message for message, _ in problems), next((h for _, h in problems if h), ""))
    signs = [SIGNS[wish[name]] if name in wish else 0 for name in names]
    return {"monotone_constraints": ",".join(map(str, signs)), "monotone_constraints_method": METHOD}


def _problems(
    wish: Mapping[str, str], names: Sequence[str], categorical: set[str], dropped: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """What is wrong with each entry, and a hint."""
    for name, direction in wish.items():
        key = f"`train.monotone.{name}`"
        if direction not in SIGNS:
            yield f"{key} is {direction!r}", 'say "up" or "down"'
        elif name in dropped:
            yield f"{key} names a feature that is not used: {dropped[name]}", "remove it, or set `train.select = false`"
        elif name not in names:
            numeric = [other for other in names if other not in categorical]
            yield f"{key} is not a feature", near_matches(name, numeric) or "see `riskml features` for their names"
        elif name in categorical:
            yield f"{key} is a category, which has no up or down", "remove it, or derive a number from it"
