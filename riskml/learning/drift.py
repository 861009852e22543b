"""Features that tell when rather than whether: found by a time model, condemned or cleared on later days.

In go training rows, folds and what judges them; out come the features to keep, a sentence with its figures for every
suspect, and what all features are worth on later days. A suspect tells early from late good rows; it is dropped only
if shuffling it, and its near copies with it, costs later days nothing that can be told from noise, and fits without
all the condemned are better by more than noise. Of near copies that matter together one stays. Too few frauds condemn
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.data.split import Fold
from riskml.learning.boost import Matrix, Params
from riskml.learning.history import History
from riskml.learning.objective import Objective
from riskml.learning.paired import Difference, compare
from riskml.learning.permutation import Group, Worlds, Worth, without, worth
from riskml.learning.shift import Shift, shift

Progress = Callable[[str, int, int, str], None]
SUSPECT = 0.7  # AUC of early against late from which a feature is a suspect
TWINS = 0.9  # rank correlation from which features are near copies
TWIN_ROWS = 4_000
LEAST_FRAUDS = 40  # over the validation rows of the folds; fewer condemn nothing
ROUNDS = 60
MOST = 20_000  # rows of one fit
CELLS = 3_000_000  # validation rows x shuffled groups, over all folds
CELL = 3e-6  # seconds of one core for each, rather more than is usual


@dataclass(frozen=True)
class Reason:
    """Why a suspect was dropped or kept: the AUC of its clock, what shuffling it costs later days, a sentence."""

    feature: str
    dropped: bool
    drift: float
    loss: float
    noise: float
    said: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        noise = self.noise if np.isfinite(self.noise) else None
        return {
            "feature": self.feature,
            "reason": self.said,
            "drift": self.drift,
            "loss": self.loss,
            "noise": noise,
        }


@dataclass(frozen=True)
class Worthy:
    """The score later days lose where one feature is shuffled, and its noise; None where that was not measured."""

    feature: str
    loss: float | None
    noise: float | None
    drift: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"feature": self.feature, "loss": self.loss, "noise": self.noise, "drift": self.drift}


@dataclass(frozen=True)
class Selection:
    """Which columns to keep [p], why suspects went or stayed, and the worth of all, the worthiest first."""

    kept: NDArray[np.bool_]
    reasons: tuple[Reason, ...]
    importance: tuple[Worthy, ...]
    together: float
    gain: Difference | None = None
    notes: tuple[str, ...] = ()

    @property
    def dropped(self) -> dict[str, str]:
        """Each dropped feature and why."""
        return {reason.feature: reason.said for reason in self.reasons if reason.dropped}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "time_auc": self.together,
            "dropped": [reason.to_dict() for reason in self.reasons if reason.dropped],
            "cleared": [reason.to_dict() for reason in self.reasons if not reason.dropped],
            "gain": None if self.gain is None else self.gain.mean,
            "importance": [item.to_dict() for item in self.importance],
            "notes": list(self.notes),
        }


def select(
    X: Matrix,
    y: NDArray[np.int8],
    time: NDArray[np.int64],
    names: Sequence[str],
    categorical: Sequence[int],
    folds: Sequence[Fold],
    scores: Sequence[Objective],
    params: Params,
    seed: int,
    *,
    history: History | None = None,
    protected: Sequence[str] = (),
    rounds: int = ROUNDS,
    most: int = MOST,
    cells: int = CELLS,
    stop: Event | None = None,
    say: Progress | None = None,
) -> Selection:
    """Find and judge features that tell when.

    Args:
        X: training rows [n, p] in time order.
        y: outcomes [n].
        time: microseconds [n], ascending.
        names: features [p].
        categorical: positions of categorical ones.
        folds: positions into the rows, in time order.
        scores: what judges each fold.
        params: parameters of every fit.
        seed: seed of fits, samples and shuffles.
        history: the past to train on; all of it if None.
        protected: features that stay whatever is found, such as those with a direction.
        rounds: boosting rounds of a fit.
        most: most rows of a fit.
        cells: most validation rows x shuffled groups; fewer groups, then fewer folds, are looked at beyond that.
        stop: ends the work between two fits.
        say: called with (stage, done, total, detail).

    Raises:
        Stopped: ``stop`` was set.
    """
    told: Progress = say or (lambda *_: None)
    past = history or History()
    cut = [_inside(fold, past, time) for fold in folds]
    worlds = Worlds(X, y, time, tuple(categorical), cut, scores, params, seed, past, rounds, most, stop or Event())
    told("train: drift", 0, 3, f"{len(names)} features")
    clock = shift(X, y, categorical, seed)
    suspects = [at for at in np.argsort(-clock.alone, kind="stable").tolist() if clock.alone[at] >= SUSPECT]
    judging, groups = _affordable(worlds, cells, len(suspects), len(names))
    if not judging:
        return Selection(np.ones(len(names), dtype=bool), (), (), clock.together, None, (_too_few(),))
    twins = {at: _twins(X, at, set(categorical)) for at in suspects}
    told("train: drift", 1, 3, f"{len(suspects)} suspects")
    measured = worth(worlds, _wanted(suspects, twins, len(names), clock), judging, groups)
    allowed = [at for at in suspects if names[at] not in protected]
    few = sum(int((y[cut[at].valid] == 1).sum()) for at in judging) < LEAST_FRAUDS or len(judging) < 2
    told("train: drift", 2, 3, f"{len(allowed)} suspects")
    condemned, gain = ([], None) if few else _condemn(worlds, measured, judging, allowed, twins)
    kept = np.ones(len(names), dtype=bool)
    kept[condemned] = False
    reasons = tuple(
        _reason(at, names, clock, measured, twins[at], at in condemned, names[at] in protected, few, gain)
        for at in suspects
    )
    notes = (_too_few(),) if few and suspects else ()
    told("train: drift", 3, 3, f"{len(condemned)} dropped")
    table = _table(names, clock, measured)
    return Selection(kept, reasons, table, clock.together, gain if condemned else None, notes)


def cells_within(seconds: float, cores: int = 2) -> int:
    """Cells ``select`` may look at in about ``seconds``, half of them for fits; reckoned, so that runs agree."""
    return int(np.clip(0.5 * seconds * cores / CELL, 100_000, CELLS))


def _inside(fold: Fold, past: History, time: NDArray[np.int64]) -> Fold:
    """The fold with its training rows cut to the chosen past."""
    rows = fold.train
    return replace(fold, train=rows[past.rows(time[rows], int(time[rows[-1]]) + 1)])


def _affordable(worlds: Worlds, cells: int, suspects: int, features: int) -> tuple[list[int], int]:
    """Which folds to look at, the latest for sure, and how many groups to shuffle in each."""
    sizes = [len(fold.valid) for fold in worlds.folds]
    least = min(features, 2 * suspects + 5)
    chosen = list(range(len(sizes)))
    while len(chosen) > 2 and sum(sizes[at] for at in chosen) * least > cells:
        chosen.pop(0)
    rows = sum(sizes[at] for at in chosen)
    return chosen, max(least, int(np.clip(cells // max(1, rows), 0, features + suspects)))


def _twins(X: Matrix, at: int, categorical: set[int]) -> Group:
    """The feature and its near copies: |Spearman's rho| at least ``TWINS``, nulls ranked lowest."""
    if at in categorical:
        return (at,)
    step = max(1, len(X) // TWIN_ROWS)
    ranks = _ranks(X[::step])
    close = np.abs(ranks.T @ ranks[:, at]) >= TWINS
    return tuple(int(other) for other in np.flatnonzero(close) if other == at or other not in categorical)


def _ranks(X: Matrix) -> NDArray[np.float64]:
    """Columns as ranks of mean 0 and length 1, equal values sharing theirs; constant columns are 0."""
    out = np.zeros(X.shape)
    for at in range(X.shape[1]):
        values = np.where(np.isnan(X[:, at]), np.float32(-np.inf), X[:, at])
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(count) - (count - 1) / 2)[place]
        centred = ranks - ranks.mean()
        length = float(np.sqrt(centred @ centred))
        out[:, at] = centred / length if length else 0.0
    return out


def _wanted(suspects: Sequence[int], twins: dict[int, Group], features: int, clock: Shift) -> list[Group]:
    """Groups to shuffle in the order of need: suspects, their twins with them, then every other feature."""
    alone: list[Group] = [(at,) for at in suspects]
    joint = [twins[at] for at in suspects if len(twins[at]) > 1]
    others: list[Group] = [(at,) for at in range(features) if at not in set(suspects)]
    return list(dict.fromkeys([*alone, *joint, *others]))


def _condemn(
    worlds: Worlds, measured: Worth, judging: Sequence[int], suspects: Sequence[int], twins: dict[int, Group]
) -> tuple[list[int], Difference | None]:
    """Suspects to drop, and what the folds gain without them; nothing if that is not clear."""
    useless = [at for at in suspects if not measured.loss((at,)).clear]
    condemned: list[int] = []
    for at in sorted(useless, key=lambda at: measured.loss((at,)).mean):
        staying = [other for other in twins[at] if other != at and other not in condemned]
        if staying or not measured.loss(twins[at]).clear:
            condemned.append(at)
    for attempt in (condemned, [at for at in condemned if measured.loss((at,)).mean <= 0]):
        if attempt:
            gain = compare(without(worlds, attempt, judging), measured.base)
            if gain.clear:
                return sorted(attempt), gain
    return [], None


def _reason(
    at: int,
    names: Sequence[str],
    clock: Shift,
    measured: Worth,
    twins: Group,
    dropped: bool,
    protected: bool,
    few: bool,
    gain: Difference | None,
) -> Reason:
    """The sentence on one suspect."""
    loss = measured.loss((at,))
    said = f"tells early from late good events at AUC {clock.alone[at]:.2f}; shuffled, later days lose {loss.mean:.4f}"
    said += f" (noise {loss.noise:.4f})" if np.isfinite(loss.noise) else ""
    if dropped:
        assert gain is not None
        said += f"; dropped, and without all that were dropped they gain {gain.mean:.4f}"
    else:
        said += "; kept, " + _why_kept(names, measured, at, twins, protected, few)
    return Reason(names[at], dropped, float(clock.alone[at]), loss.mean, loss.noise, said)


def _why_kept(names: Sequence[str], measured: Worth, at: int, twins: Group, protected: bool, few: bool) -> str:
    """Why a suspect stays."""
    if protected:
        return "as the recipe gives it a direction"
    if few:
        return "as the frauds are too few to condemn it"
    if measured.loss((at,)).clear:
        return "as that is more than noise"
    if len(twins) > 1 and measured.loss(twins).clear:
        others = [names[other] for other in twins if other != at]
        return f"as it matters together with {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}"
    return "as fits without it are not clearly better"


def _table(names: Sequence[str], clock: Shift, measured: Worth) -> tuple[Worthy, ...]:
    """The worth of every feature, the worthiest first."""

    def row(at: int) -> Worthy:
        if not measured.knows(at):
            return Worthy(names[at], None, None, float(clock.alone[at]))
        loss = measured.loss((at,))
        return Worthy(names[at], loss.mean, loss.noise if np.isfinite(loss.noise) else None, float(clock.alone[at]))

    rows = [row(at) for at in range(len(names))]
    return tuple(sorted(rows, key=lambda item: (item.loss is None, -(item.loss or 0.0))))


def _too_few() -> str:
    return f"fewer than {LEAST_FRAUDS} frauds or two folds judge features on later days, so none was dropped"
