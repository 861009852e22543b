"""The final boosters: a bag over seeds and over trials that noise cannot tell from the best, known ones first.

In go binned rows and the search that judged parameters; out come LightGBM texts whose margins are averaged. Each
member keeps every fraud and, where good rows are sampled, its own sample of those. A member's bytes depend on its
parameters and seed alone, so the first k of a larger bag are the bag of k. With a budget the bag stops when the next
members would pass it; the first are always fitted.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from riskml.learning import boost
from riskml.learning.boost import Binned
from riskml.learning.space import Space, Value

if TYPE_CHECKING:
    from riskml.learning.journal import Trial
    from riskml.learning.search import Search
    from riskml.recipe.spec import Train

NEAR = 4  # different parameter sets in one bag, at most
SIDE_BY_SIDE = 2  # members fitted at once, each on one thread
ROUNDS_UNTUNED = 100  # where no fold can say when to stop


@dataclass(frozen=True)
class Member:
    """One booster to fit: ``trial`` is where its parameters come from, None without a search."""

    trial: int | None
    params: Mapping[str, Value]
    rounds: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"params": dict(self.params)}


def members(found: Search | None, space: Space, wish: Train) -> tuple[Member, ...]:
    """The members of a bag: seeds in turn over the best trial and those that noise cannot tell from it."""
    chosen: list[tuple[int | None, dict[str, Value], int]] = []
    if found is None:
        params = space.complete(space.first())
        chosen.append((None, params, int(params.get("num_iterations", ROUNDS_UNTUNED))))
    else:
        for trial in _chosen(found, min(NEAR, wish.bag), 1 + len(space.starts())):
            params, rounds = space.anneal(trial.params, trial.iterations)
            chosen.append((trial.number, params, rounds))
    return tuple(Member(*chosen[at % len(chosen)], wish.seed + 1_000 * at) for at in range(wish.bag))


def _chosen(found: Search, most: int, known: int) -> tuple[Trial, ...]:
    """Up to ``most`` trials that noise cannot tell from the best; those known to be good alone, if there are such.

    The highest of many noisy values is partly luck, and parameters that were good elsewhere were not picked by it: on
    the Handbook's early weeks a longer search of narrow folds made later days worse, not better. Where the folds can
    tell, no start is left and the best trials are taken.
    """
    equal = found.near(len(found.trials))
    return (tuple(trial for trial in equal if trial.number < known) or equal)[:most]


def fit(
    wanted: Sequence[Member],
    rows: Callable[[int], Binned],
    left: Callable[[], float | None],
    say: Callable[[str, int, int, str], None],
) -> tuple[str, ...]:
    """Texts of the members, in order; with a budget perhaps only the first ones.

    Args:
        wanted: the members.
        rows: the binned rows of the member with a seed.
        left: seconds left of the budget, None without one.
        say: called with (stage, done, total, detail).
    """
    texts: list[str] = []
    began = clock.monotonic()

    def one(member: Member) -> str:
        return boost.train_text(rows(member.seed), member.params, member.rounds, member.seed, threads=1)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for at in range(0, len(wanted), SIDE_BY_SIDE):
            seconds = left()
            if texts and seconds is not None and (clock.monotonic() - began) / (at / SIDE_BY_SIDE) > seconds:
                break
            say("train: bag", at, len(wanted), f"{wanted[at].rounds} rounds each")
            texts += list(pool.map(one, wanted[at : at + SIDE_BY_SIDE]))
    say("train: bag", len(texts), len(wanted), "")
    return tuple(texts)
