"""A study that several processes or machines share through an Optuna storage: a file or any database URL.

In go where the study is kept and its key; out come the trials all its workers finished. Each worker asks for one trial
at a time, races its folds over its own cores and writes the whole trial into the study before telling it. Workers
show that they are alive; the trial of one that falls silent is tried again by another. All workers of the same budget
end with the same trials, and with them the same best one. A password in the URL is never shown or written.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from riskml.data.storage import expand
from riskml.errors import RiskmlError, TrainingError
from riskml.learning.journal import Journal, Trial
from riskml.learning.race import Course, race
from riskml.learning.space import Space, Value
from riskml.learning.stopping import Budget, over, top_of
from riskml.learning.study import quiet_optuna, sampler, starts, tell

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
BODY, OWNER, RETRY = "riskml:trial", "riskml:worker", "riskml:retry"  # attributes of a trial
BEAT, STOP = "riskml:beat:", "riskml:stop:"  # attributes of the study, one for each worker
RETRIES = 2
ATTEMPTS = 5  # to open a database: two workers may be making its tables at once


@dataclass(frozen=True)
class Store:
    """An open storage. ``shown`` names it without its password; a worker silent for ``grace`` seconds is dead."""

    storage: Any
    shown: str
    journal: Journal
    worker: str
    grace: float = 60.0

    @property
    def key(self) -> str:
        """The study's name in the storage."""
        return self.journal.key

    def rest(self) -> None:
        """Close this thread's connections to a database; they open again when needed."""
        if isinstance(self.storage, RDBStorage):
            self.storage.remove_session()
            self.storage.engine.dispose()


def open_store(where: str, journal: Journal, grace: float = 60.0) -> Store:
    """Open a storage: a database URL, else the path of a file. ``journal`` keeps a copy of the trials by its key.

    Raises:
        TrainingError: it cannot be opened.
    """
    shown = where
    try:
        if "://" in where:
            url, shown = _url(where)
            storage = _database(url)
        else:
            path = Path(where)
            path.parent.mkdir(parents=True, exist_ok=True)
            backend = JournalFileBackend(str(path))
            storage = JournalStorage(backend)
    except RiskmlError:
        raise
    except Exception as error:
        raise _unreachable(shown, error) from None  # the cause may quote the URL
    worker = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}"
    return Store(storage, shown, journal, worker, grace)


def shared(
    store: Store,
    along: Course,
    space: Space,
    budget: Budget,
    told: Callable[[int, Trial], None],
    on_interrupt: str,
    warm: Sequence[Mapping[str, Value]],
) -> tuple[tuple[Trial, ...], str]:
    """Work on the study until it is over; the trials that count and why it is over.

    Raises:
        KeyboardInterrupt: interrupted, and ``on_interrupt`` is "raise" or nothing is finished yet.
        TrainingError: the storage cannot be reached.
    """
    began = time.monotonic()
    with quiet_optuna(), _reaching(store):
        study = _study(store, starts(space, warm), budget)
        watch = _Watch(study, store.worker, store.grace)
        with _beating(study, store):
            try:
                while True:
                    watch.revive()
                    ledger = _ledger(study, budget)
                    if not ledger.room:
                        if ledger.settled:
                            break
                        time.sleep(min(1.0, store.grace / 10))
                        continue
                    why = None if ledger.waiting else over(ledger.finished, budget, time.monotonic() - began)
                    if why is not None:
                        _stop(study, store, budget, ledger, why)
                        continue
                    _work(store, study, along, space, budget, told)
            except KeyboardInterrupt:
                finished = _ledger(study, budget).finished
                if on_interrupt == "raise" or not any(trial.complete for trial in finished):
                    raise
                return finished, "interrupted"
    store.journal.close(ledger.finished)
    return ledger.finished, ledger.why


def _work(
    store: Store,
    study: optuna.Study,
    along: Course,
    space: Space,
    budget: Budget,
    told: Callable[[int, Trial], None],
) -> None:
    """Ask for one trial, run it, write it down and tell it."""
    asked = study.ask()
    asked.set_user_attr(OWNER, store.worker)
    ledger = _ledger(study, budget)
    if asked.number not in ledger.counted:  # others took the last places meanwhile
        study.tell(asked, state=TrialState.FAIL)
        return
    chosen = space.suggest(asked)
    finished = ledger.finished
    best = top_of(finished) if any(trial.complete for trial in finished) else None
    try:
        (made,) = race(along, space, {asked.number: chosen}, budget.seed, best)
    except BaseException as error:
        study.tell(asked, state=TrialState.FAIL, skip_if_finished=True)
        if isinstance(error, KeyboardInterrupt):
            study.enqueue_trial(dict(chosen))
        raise
    store.journal.append(made)
    with suppress(ValueError, optuna.exceptions.UpdateFinishedTrialError):  # taken for dead: another runs it again
        asked.set_user_attr(BODY, made.to_dict())
        tell(study, asked, made)
        told(len(_ledger(study, budget).finished), made)


@dataclass(frozen=True)
class _Ledger:
    """The study as one moment shows it. ``counted`` are the numbers of the trials that make up the study."""

    finished: tuple[Trial, ...]
    counted: frozenset[int]
    waiting: bool
    room: bool
    why: str

    @property
    def settled(self) -> bool:
        """Whether every trial that counts is finished."""
        return not self.room and len(self.finished) == len(self.counted)


def _ledger(study: optuna.Study, budget: Budget) -> _Ledger:
    """The first trials that did not fail, as many as the budget, or the first worker to stop, allows.

    Numbers are given by the storage, so every worker counts the same ones.
    """
    most, why = budget.trials, "trials"
    for name, mark in sorted(study.user_attrs.items()):
        if name.startswith(STOP) and mark["budget"] == _budget(budget) and mark["after"] < most:
            most, why = int(mark["after"]), str(mark["why"])
    alive = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL][:most]
    waiting = any(t.state == TrialState.WAITING for t in alive)
    finished = tuple(Trial.from_dict(t.user_attrs[BODY]) for t in alive if t.state in DONE)
    return _Ledger(finished, frozenset(t.number for t in alive), waiting, waiting or len(alive) < most, why)


def _stop(study: optuna.Study, store: Store, budget: Budget, ledger: _Ledger, why: str) -> None:
    """Tell every worker of the same budget that the trials begun so far are the study."""
    mark = {"after": len(ledger.counted), "why": why, "budget": _budget(budget)}
    study.set_user_attr(STOP + store.worker, mark)


def _budget(budget: Budget) -> list[object]:
    return [budget.trials, budget.seconds, budget.gain]


def _study(store: Store, first: Sequence[Mapping[str, Value]], budget: Budget) -> optuna.Study:
    """The study; whoever makes it enqueues what is tried first."""
    own = sampler(zlib.crc32(store.worker.encode()) ^ budget.seed)  # workers must not ask for the same trials
    try:
        study = optuna.create_study(storage=store.storage, study_name=store.key, sampler=own, direction="maximize")
    except optuna.exceptions.DuplicatedStudyError:
        return optuna.load_study(storage=store.storage, study_name=store.key, sampler=own)
    for params in first:
        study.enqueue_trial(dict(params))
    return study


@dataclass
class _Watch:
    """What this worker saw of the others: when a sign of life last changed, by its own clock."""

    study: optuna.Study
    worker: str
    grace: float
    seen: dict[str, tuple[object, float]] = field(default_factory=dict)

    def revive(self) -> None:
        """Fail the running trials of workers that fell silent, and enqueue their parameters again."""
        now, beats = time.monotonic(), self.study.user_attrs
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            owner = trial.user_attrs.get(OWNER, f"nobody:{trial.number}")
            beat = beats.get(BEAT + owner)
            before = self.seen.get(owner)
            if owner == self.worker or before is None or before[0] != beat:
                self.seen[owner] = (beat, now)
            elif now - before[1] > self.grace:
                self._retry(trial)

    def _retry(self, trial: FrozenTrial) -> None:
        """A trial written down but not told is told; any other fails, and is enqueued again unless it often failed."""
        with suppress(ValueError, RuntimeError):  # its worker, or another watcher, was faster
            if BODY in trial.user_attrs:
                made = Trial.from_dict(trial.user_attrs[BODY])
                if made.complete:
                    self.study.tell(trial.number, made.value)
                else:
                    self.study.tell(trial.number, state=TrialState.PRUNED)
                return
            self.study.tell(trial.number, state=TrialState.FAIL)
            tries = int(trial.user_attrs.get(RETRY, 0)) + 1
            if trial.params and tries <= RETRIES:
                self.study.enqueue_trial(dict(trial.params), user_attrs={RETRY: tries})


@contextmanager
def _beating(study: optuna.Study, store: Store) -> Iterator[None]:
    """Show that this worker is alive, ten times in the time after which it would be taken for dead."""
    done = threading.Event()

    def beat() -> None:
        count = 0
        while not done.is_set():
            with suppress(Exception):  # a lost storage is the worker's to report; a missed beat is made up for
                study.set_user_attr(BEAT + store.worker, count)
            count += 1
            done.wait(store.grace / 10)
        store.rest()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _reaching(store: Store) -> Iterator[None]:
    """A storage that fails becomes one clear error without its password."""
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise _unreachable(store.shown, error) from None
    finally:
        store.rest()


def _unreachable(shown: str, error: Exception) -> TrainingError:
    hint = "check the address, the password and that the database is running"
    if isinstance(error, ImportError):
        hint = "install the database's driver, for PostgreSQL `pip install psycopg[binary]`"
    return TrainingError(f"`train.storage` {shown} cannot be used ({type(error).__name__})", hint)


def _url(where: str) -> tuple[str, str]:
    """A URL with a driver that is installed and its ``${NAME}`` from the environment, and one without its password."""
    from sqlalchemy.engine import make_url

    filled = expand(where)[0]
    try:
        url = make_url(filled)
    except Exception:
        raise TrainingError(
            "`train.storage` is not a database URL", "as postgresql://user:password@host/name"
        ) from None
    if url.drivername == "postgresql" and importlib.util.find_spec("psycopg2") is None:
        url = url.set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False), url.render_as_string(hide_password=True)


def _database(url: str) -> Any:
    """The storage, its tables made if need be."""
    import sqlalchemy.exc

    for left in reversed(range(ATTEMPTS)):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except (ImportError, optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            if left == 0 or isinstance(error, ImportError):
                raise
            time.sleep(0.2 * (ATTEMPTS - left))
    raise AssertionError("unreachable")
