"""Boosted trees with everything that could vary nailed down: one place that talks to LightGBM's trainer.

In go an encoded matrix, outcomes, parameters and seeds; out come LightGBM text, or the curve of a validation score
over rounds. The same inputs give the same bytes on any number of cores: threads are fixed and histograms
deterministic. The data is binned once and shared by every fold and trial. Parameters LightGBM does not know, or
that would break this promise, are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from riskml.errors import TrainingError, near_matches
from riskml.learning import bins
from riskml.learning.objective import Objective

Params = Mapping[str, float | int | str]
Matrix = NDArray[np.float32]

FIXED: dict[str, Any] = {
    "objective": "binary",
    "metric": "None",
    "boosting": "gbdt",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,
}
BINNING: dict[str, int] = {"max_bin": 255, "min_data_in_bin": 1, "bin_construct_sample_cnt": 200_000}
RESERVED = (
    *FIXED,
    *("seed", "num_threads", "force_col_wise", "data", "valid", "config", "task", "device_type"),
    "monotone_constraints",
)
SEARCH_THREADS, FIT_THREADS = 1, 2  # part of the result, so never taken from the machine
MANY_ROWS = 100_000  # below this, threads cost more than they bring
STEP = 5  # rounds between two looks at the validation score


class Stopped(Exception):
    """A worker saw the stop flag between two rounds."""


@dataclass(frozen=True)
class Binned:
    """Rows binned once; subsets of it share the bins and carry their weights."""

    data: lgb.Dataset
    y: NDArray[np.int8]

    def subset(self, rows: NDArray[np.int64], weight: NDArray[np.float64] | None = None) -> Binned:
        """The chosen rows (ascending), constructed, with their weights or, if given, those of ``weight`` [rows]."""
        data = self.data.subset(rows.tolist()).construct()
        if weight is not None:
            data.set_weight(weight)
        return Binned(data, self.y[rows])

    @property
    def weight(self) -> NDArray[np.float64]:
        """Weight of each row [n], 1 where none was given."""
        held = self.data.get_field("weight")
        return np.ones(len(self.y)) if held is None else np.asarray(held, dtype=np.float64)


def bin_rows(
    X: Matrix,
    y: NDArray[np.int8],
    categorical: Sequence[int] = (),
    names: Sequence[str] = (),
    fixed: Params | None = None,
    weight: NDArray[np.float64] | None = None,
) -> Binned:
    """Bin a matrix [n, p] once. ``fixed`` may override the binning parameters; ``weight`` [n] is 1 if None."""
    wish = {key: int(value) for key, value in (fixed or {}).items() if key in BINNING}
    with ExitStack() as stack:
        tails = {} if "max_bin" in wish else stack.enter_context(bins.forced(X, categorical))
        data = lgb.Dataset(
            X,
            label=y.astype(np.float32),
            weight=weight,
            feature_name=_safe(names) if names else "auto",
            categorical_feature=list(categorical),
            params=FIXED | BINNING | tails | wish | {"num_threads": _threads(len(y))},
        ).construct()
    (data.params or {}).pop("forcedbins_filename", None)  # a passing file, which models would name
    return Binned(data, y)


def train_text(binned: Binned, params: Params, rounds: int, seed: int, threads: int | None = None) -> str:
    """Train exactly ``rounds`` rounds and return LightGBM's text; ``threads`` by the number of rows if None."""
    booster = _booster(binned, params, seed, threads or _threads(len(binned.y)))
    for _ in range(rounds):
        if booster.update():
            break
    return without_ranges(str(booster.model_to_string(num_iteration=-1)))


def without_ranges(text: str) -> str:
    """LightGBM's text without the least and greatest training value of each feature, which are customers' own.

    Scores and contributions do not read them.
    """
    before, found, rest = text.partition("\nfeature_infos=")
    infos, newline, after = rest.partition("\n")
    return before + found + " ".join("none" for _ in infos.split(" ")) + newline + after if found else text


def fit(
    X: Matrix,
    y: NDArray[np.int8],
    params: Params,
    rounds: int,
    seeds: Sequence[int] = (7,),
    categorical: Sequence[int] = (),
    names: Sequence[str] = (),
) -> tuple[str, ...]:
    """LightGBM texts of one model per seed on a plain matrix: the door for benchmarks and experiments."""
    binned = bin_rows(X, y, categorical, names, params)
    return tuple(train_text(binned, params, rounds, seed) for seed in seeds)


def curve(
    train: Binned,
    valid: Binned,
    params: Params,
    score: Objective,
    rounds: int,
    patience: int,
    seed: int,
    stop: threading.Event | None = None,
) -> list[float]:
    """Validation score after every ``STEP`` rounds, until ``patience`` rounds bring nothing better.

    Raises:
        Stopped: ``stop`` was set.
    """
    found: list[float] = []
    best = 0
    for predicted in climb(train, valid, params, rounds, seed, stop):
        found.append(score(predicted, valid.y))
        if found[-1] > found[best]:
            best = len(found) - 1
        if (len(found) - 1 - best) * STEP >= patience:
            break
    return found


def climb(
    train: Binned, valid: Binned, params: Params, rounds: int, seed: int, stop: threading.Event | None = None
) -> Iterator[NDArray[np.float64]]:
    """Predictions of ``valid`` after every ``STEP`` rounds and after the last; the array is overwritten by the next.

    Ends early where no tree can grow any more.

    Raises:
        Stopped: ``stop`` was set.
    """
    booster = _booster(train, params, seed, SEARCH_THREADS)
    booster.add_valid(valid.data, "valid")
    looks = 0
    for done in range(1, rounds + 1):
        if stop is not None and stop.is_set():
            raise Stopped
        finished = booster.update()
        if done % STEP == 0 or done == rounds or (finished and not looks):
            looks += 1
            yield _predictions(booster)
        if finished:
            break


def _predictions(booster: lgb.Booster) -> NDArray[np.float64]:
    """What the booster says about its validation rows, without computing a tree again."""
    seen: list[NDArray[np.float64]] = []

    def look(predicted: NDArray[np.float64], _: lgb.Dataset) -> tuple[str, float, bool]:
        seen.append(predicted)
        return "look", 0.0, True

    booster.eval_valid(look)
    return seen[0]


def check_params(fixed: Params) -> None:
    """Refuse ``train.params`` that LightGBM does not know or that training sets itself.

    Raises:
        TrainingError: naming the parameter and near matches.
    """
    known = _known_parameters()
    for name in fixed:
        if name in RESERVED:
            raise TrainingError(
                f"`train.params.{name}` is set by riskml, so that the same recipe gives the same model",
                "say it under `train.monotone`" if name.startswith("monotone") else "remove it",
            )
        if name not in known:
            hint = near_matches(name, known) or "use LightGBM's own name of the parameter, not an alias"
            raise TrainingError(f"`train.params.{name}` is not a parameter of LightGBM", hint)
    try:
        _tiny(fixed)
    except lgb.basic.LightGBMError as error:
        raise TrainingError(f"LightGBM refuses `train.params`: {error}", "correct the value") from error


def _known_parameters() -> set[str]:
    """Names LightGBM writes into a model's text: its parameters, without aliases."""
    text = _tiny({})
    section = text.partition("\nparameters:\n")[2].partition("\nend of parameters")[0]
    names = {line[1:].partition(":")[0] for line in section.splitlines() if line.startswith("[")}
    return names | {"num_iterations"}


def _tiny(params: Params) -> str:
    """The text of a model on forty rows, to learn what LightGBM makes of ``params``."""
    X = np.arange(40, dtype=np.float32).reshape(-1, 1)
    return fit(X, (np.arange(40) % 2).astype(np.int8), params, 1)[0]


def _booster(binned: Binned, params: Params, seed: int, threads: int) -> lgb.Booster:
    tuned = {key: _whole(value) for key, value in params.items() if key not in (*BINNING, "num_iterations")}
    return lgb.Booster(tuned | FIXED | {"seed": seed, "num_threads": threads}, binned.data)


def _whole(value: float | int | str) -> float | int | str:
    """15.0 as 15: LightGBM wants whole numbers without a point, and reads either for the others."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _threads(rows: int) -> int:
    return FIT_THREADS if rows >= MANY_ROWS else 1


def _safe(names: Sequence[str]) -> list[str]:
    """Feature names LightGBM can store; a name with other characters is stored by its position."""
    return [name if name.replace("_", "").isalnum() and name.isascii() else f"f{at}" for at, name in enumerate(names)]
