"""How a study talks to Optuna: its sampler, what it tries first, and how a finished trial is told.

In go the search space and finished trials; out come calls to Optuna's public interface, the same for a study of one
process and for one that several share.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import optuna

from riskml.learning.journal import Trial
from riskml.learning.space import Space, Value

STARTUP = 10  # trials before TPE learns from them, warm starts included


def starts(space: Space, warm: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
    """Trial zero, the warm starts given and those known for the kind of threat; each once, inside the space."""
    found = [space.first()]
    for params in (*warm, *space.starts()):
        inside = space.clip(params)
        if inside and inside not in found:
            found.append(inside)
    return found


def tell(study: optuna.Study, asked: optuna.Trial, trial: Trial) -> None:
    """Tell the study a finished trial; a pruned one with its value and how many legs it lasted."""
    if trial.complete:
        study.tell(asked, trial.value)
    else:
        asked.report(trial.value, len(trial.legs))
        study.tell(asked, state=optuna.trial.TrialState.PRUNED)


def sampler(seed: int) -> optuna.samplers.TPESampler:
    """Seeded, and the same for every number of trials, so that a longer study begins like a shorter one."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna announces each study on stderr and warns of its younger options; riskml speaks for itself."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
