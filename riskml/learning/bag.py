"""The final boosters: a bag over seeds and over the trials that noise cannot tell from the best.

In go binned rows and the members' parameters; out come LightGBM texts whose margins are averaged. Each member keeps
every fraud and, where good rows are sampled, its own sample of those. A member's bytes depend on its parameters and
seed alone, so the first k of a larger bag are the bag of k. With a deadline the bag stops when the next member would
pass it; one member is always fitted.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.learning import boost
from riskml.learning.boost import Binned
from riskml.learning.prepare import sample_goods
from riskml.learning.space import Space, Value

if TYPE_CHECKING:
    from riskml.learning.search import Search
    from riskml.recipe.spec import Train

NEAR = 3  # different parameter sets in one bag, at most
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
        for trial in near(found, min(NEAR, wish.bag)):
            params, rounds = anneal(space, trial.params, trial.iterations)
            chosen.append((trial.number, params, rounds))
    return tuple(
        Member(*chosen[at % len(chosen)], wish.seed + 1_000 * at)
        for at in range(wish.bag)
    )


def near(found: Search, count: int) -> Sequence[Any]:
    """Up to ``count`` trials to fit, best first."""
    return [found.best][:count]


def anneal(space: Space, params: Mapping[str, Value], rounds: int) -> tuple[dict[str, Value], int]:
    """Parameters and rounds of the final fit."""
    return space.complete(params), rounds


def fit(
    binned: Binned,
    y: NDArray[np.int8],
    wanted: Sequence[Member],
    wish: Train,
    until: float | None,
    say: Callable[[str, int, int, str], None],
) -> tuple[str, ...]:
    """Texts of the members, in order; with a deadline ``until`` (of ``time.monotonic``) perhaps only the first ones."""
    texts: list[str] = []
    began = clock.monotonic()

    def one(member: Member) -> str:
        kept = sample_goods(y, wish.negatives, member.seed)
        whole = binned if len(kept) == len(y) else binned.subset(kept)
        return boost.train_text(whole, member.params, member.rounds, member.seed, threads=1)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for at in range(0, len(wanted), SIDE_BY_SIDE):
            now = clock.monotonic()
            if texts and until is not None and now + (now - began) / (at / SIDE_BY_SIDE) > until:
                break
            say("train: bag", at, len(wanted), f"{wanted[at].rounds} rounds on {len(y):,} rows")
            texts += list(pool.map(one, wanted[at : at + SIDE_BY_SIDE]))
    say("train: bag", len(texts), len(wanted), "")
    return tuple(texts)
