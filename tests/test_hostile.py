"""Bad input: each gets one clear error with a hint, the right exit code, no traceback, and nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from riskml.cli.runs import STAGES
from tests.transcript import RECIPE, make_shop, refused, riskml, shop, tidy

Frame = pd.DataFrame


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shop and its finished run; copied, never changed."""
    folder = tmp_path_factory.mktemp("shop")
    session = riskml("run", make_shop(folder), "--runs", folder / "runs", "-q")
    assert session.code in (0, 1, 4), session
    return folder


@pytest.fixture
def finished(done: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may harm."""
    shutil.copytree(done, tmp_path / "shop")
    return tmp_path / "shop"


def altered(frame: Frame, **columns: object) -> Frame:
    """The shop with columns replaced."""
    return frame.assign(**columns)


def first_time(value: str) -> Callable[[Frame], Frame]:
    """The shop whose fifth row has another time."""

    def change(frame: Frame) -> Frame:
        frame.loc[4, "created_at"] = value
        return frame

    return change


def doubled(frame: Frame) -> Frame:
    """One id with two contents."""
    frame.loc[1, "txn_id"] = frame.loc[0, "txn_id"]
    return frame


BAD_DATA: list[tuple[str, Callable[[Frame], Frame], str, str]] = [
    ("missing column", lambda f: f.rename(columns={"is_fraud": "is_frod"}), "`is_fraud`", "did you mean `is_frod`?"),
    ("missing entity", lambda f: f.drop(columns="device_id"), "`device_id`", ""),
    ("empty table", lambda f: f.head(0), "events", ""),
    ("no fraud", lambda f: altered(f, is_fraud=0), "fraud", ""),
    ("strange label", lambda f: altered(f, is_fraud="maybe"), "neither fraud nor good", ""),
    ("unparsable time", first_time("yesterday"), "yesterday", ""),
    ("time without a zone", first_time("2026-01-01T00:00:00"), "zone", "timezone"),
    ("null time", first_time(""), "created_at", ""),
    ("duplicate id", doubled, "txn_id", ""),
]


@pytest.mark.parametrize(("change", "error", "hint"), [c[1:] for c in BAD_DATA], ids=[c[0] for c in BAD_DATA])
def test_bad_data(change: Callable[[Frame], Frame], error: str, hint: str, tmp_path: Path) -> None:
    """Data that breaks the recipe's contract is refused by `run` before anything is computed."""
    recipe = make_shop(tmp_path, frame=change(shop(300)))
    refused(riskml("run", recipe, "--runs", tmp_path / "runs"), error, hint)
    assert tidy(tmp_path)
    assert not (tmp_path / "runs" / "shop" / "features").exists()


BAD_RECIPE: list[tuple[str, str, str, str, str]] = [
    ("wrong path", 'path = "events.csv"', 'path = "event.csv"', "event.csv", "events.csv"),
    ("misspelt key", "inputs = [", "input = [", "events.input: unknown key", "`inputs`"),
    ("misspelt column", '"amount", "country"', '"amount", "contry"', "contry", "`country`"),
    ("misspelt entity", 'by = "customer"', 'by = "custommer"', "custommer", "`customer`"),
    ("unknown aggregate", '"sum(amount)"', '"summ(amount)"', "no aggregate `summ` (did you mean `sum`?)", ""),
    ("rule on an unknown column", "amount > 120", "amout > 120", "amout", "`amount`"),
    ("code in a rule", "amount > 120", "__import__('os').system('touch pwned')", "rule.version", ""),
    ("attribute in a rule", "amount > 120", "amount.__class__ == 1", "rule.version", ""),
    ("code in a derived feature", "amount / customer_events_sum_amount_30d", "open('/etc/passwd')", "derive", ""),
    ("code in a lambda", "amount / customer_events_sum_amount_30d", "(lambda: 1)()", "derive", ""),
    ("derived from nothing", "amount / customer_events_sum_amount_30d", "amount / nothing", "nothing", ""),
    ("not TOML", "[train]", "[train", "TOML", ""),
    ("zone-less as_of", 'name = "shop"', 'name = "shop"\nas_of = 2026-03-01T00:00:00', "zone", ""),
    ("windows longer than the log", 'calibrate = "8d"', 'calibrate = "140d"', "too short to train on", ""),
]


@pytest.mark.parametrize(("old", "new", "error", "hint"), [c[1:] for c in BAD_RECIPE], ids=[c[0] for c in BAD_RECIPE])
def test_bad_recipe(old: str, new: str, error: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe that cannot be meant so is refused, with the place and the nearest name; no expression runs code."""
    assert RECIPE.count(old) >= 1
    monkeypatch.chdir(tmp_path)
    recipe = make_shop(tmp_path, RECIPE.replace(old, new), shop(1_000))
    refused(riskml("run", recipe), error, hint)
    assert tidy(tmp_path) and not (tmp_path / "pwned").exists()
    assert not (tmp_path / "runs" / "shop" / "train").exists()


def test_every_problem_at_once(tmp_path: Path) -> None:
    """Three mistakes in a recipe are all named in one error."""
    text = (
        RECIPE.replace("inputs = [", "input = [")
        .replace('by = "customer"', "by = 3")
        .replace("trials = 2", 'trials = "2"')
    )
    session = riskml("check", make_shop(tmp_path, text, shop(10)))
    refused(session, "problems in the recipe")
    assert all(key in session.err for key in ("events.input", "features[1].by", "train.trials"))


def test_label_for_an_unknown_event(tmp_path: Path) -> None:
    """A label table that names an event the log does not hold is refused."""
    frame = shop(300)
    labels = pd.DataFrame({"txn": [*frame.txn_id[:9], "t-1"], "at": "2026-02-20T00:00:00Z", "is_fraud": 1})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    text = RECIPE.replace("[labels]", '[labels]\npath = "labels.csv"\nmatch = { txn_id = "txn" }\nknown_at = "at"')
    recipe = make_shop(tmp_path, text, frame.drop(columns="is_fraud"))
    refused(riskml("check", recipe, "--runs", tmp_path / "runs"), "label")


def test_truncated_parquet(tmp_path: Path) -> None:
    """A Parquet file cut short is a data error that names the file."""
    recipe = make_shop(tmp_path, RECIPE.replace("events.csv", "events.parquet"))
    whole = tmp_path / "whole.parquet"
    shop(300).to_parquet(whole)
    (tmp_path / "events.parquet").write_bytes(whole.read_bytes()[:-40])
    refused(riskml("run", recipe, "--runs", tmp_path / "runs"), "events.parquet")


WRONG_PATHS = ["run {0}/nowhere.toml", "run {0}", "verify {0}/no.riskml", "score {0}/no.riskml x.csv"]


@pytest.mark.parametrize("words", WRONG_PATHS)
def test_wrong_path(words: str, tmp_path: Path) -> None:
    """A path that leads nowhere is a usage error with a hint."""
    refused(riskml(*words.format(tmp_path).split()), str(tmp_path))


@pytest.mark.parametrize("where", [0, 0.3, 0.6, 0.999])
def test_release_with_one_byte_flipped(finished: Path, where: float) -> None:
    """`verify` answers no (1), `score` refuses (2), and neither shows a traceback."""
    release = next((finished / "runs" / "shop" / "package").glob("*.riskml"))
    raw = bytearray(release.read_bytes())
    raw[int(where * len(raw))] ^= 1
    release.write_bytes(raw)
    session = riskml("verify", release)
    assert (session.code, session.out.count("\n")) == (1, 1) and session.out.startswith("ALTERED: "), session
    assert "Traceback" not in session.err
    refused(riskml("score", release, finished / "events.csv", "--out", finished / "scores.csv"), "")
    assert not (finished / "scores.csv").exists()


def test_sound_release_is_verified_and_scores(finished: Path) -> None:
    """The release of the same run verifies, and scores its own feature table on stdout."""
    release = next((finished / "runs" / "shop" / "package").glob("*.riskml"))
    assert riskml("verify", release).code == 0
    session = riskml("score", release, finished / "runs" / "shop" / "features" / "features.parquet")
    assert session.code == 0 and session.out.startswith('"txn_id","probability","margin","action"')
    assert len(session.out.splitlines()) == len(shop()) + 1


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, without the lock, the memory of file times and the journal of trials."""
    own = (".lock", ".data.json", ".trials.jsonl")
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in own}


def test_full_disk(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a stage is written leaves the finished stages as they were."""
    before = snapshot(finished / "runs")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("riskml.learning.model.Model.write", full)
    words = ("train", finished / "shop.toml", "--runs", finished / "runs", "--set", "train.seed=8")
    refused(riskml(*words), "No space left on device", "--runs")
    assert tidy(finished) and snapshot(finished / "runs") == before


def test_file_size_limit_of_the_system(finished: Path) -> None:
    """The same with a real limit of the operating system, met while the feature table is written."""
    before = snapshot(finished / "runs")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from riskml.cli.app import main; sys.exit(main(sys.argv[1:]))"
    )
    with (finished / "events.csv").open("a") as file:
        file.write("t-9,2026-02-28T00:00:00Z,1,d1,5.0,NL,0\n")
    recipe, runs = str(finished / "shop.toml"), str(finished / "runs")
    command = [sys.executable, "-c", code, "run", recipe, "--runs", runs]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert found.returncode == 2 and "Traceback" not in found.stderr, found.stderr
    assert "error: cannot write" in found.stderr and "\n\nhint: " in found.stderr
    assert tidy(finished)
    after = snapshot(finished / "runs")
    assert {name for name in before if before[name] != after.get(name)} <= {
        "shop/check/facts.json",
        "shop/check/stage.json",
    }


def test_interrupt_during_search(tmp_path: Path) -> None:
    """Ctrl-C while training exits with 130, keeps finished trials, leaves no half stage; the next run goes on."""
    folder = tmp_path / "shop"
    folder.mkdir()
    recipe = make_shop(folder, frame=shop(4_500))
    for stage in ("check", "features"):
        assert riskml(stage, recipe, "--runs", folder / "runs", "-q").code == 0
    journal = folder / "runs" / "shop" / ".trials.jsonl"
    journal.unlink(missing_ok=True)
    wish = ["--set", "train.trials=500", "--set", "train.params={num_iterations=400}"]  # slow trials
    where = [str(folder / "shop.toml"), "--runs", str(folder / "runs")]
    command = [sys.executable, "-m", "riskml", "train", *where, *wish]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_text().count('"number"') >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err and err.count("error: ") == 1 and "interrupted" in err
    assert tidy(folder)
    kept = journal.read_text().count('"number"')
    assert kept >= 2
    record = json.loads((folder / "runs" / "shop" / "train" / "stage.json").read_text())
    assert record["ok"] is False
    trials = json.loads((folder / "runs" / "shop" / "train" / "facts.json").read_text())["trials"]
    assert 1 <= trials < 500  # a trial may be in the journal and not yet counted when Ctrl-C comes
    again = riskml("status", folder / "shop.toml", "--runs", folder / "runs", *wish)
    assert again.code == 0 and "train: fresh" in again.out and "interrupted" in again.out


def test_interrupt_elsewhere(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C outside the search exits with 130 and changes nothing."""
    before = snapshot(finished / "runs")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("riskml.evidence.backtest.backtest", stop)
    session = riskml("backtest", finished / "shop.toml", "--runs", finished / "runs", "--set", "backtest.seed=1")
    refused(session, "interrupted", "goes on from there", code=130)
    assert tidy(finished) and snapshot(finished / "runs") == before


def test_killed_run(finished: Path) -> None:
    """A process killed while it writes leaves the old stage whole, and the next run clears the rest and goes on."""
    before = snapshot(finished / "runs")
    code = (
        "import os, sys, riskml.evidence.backtest as room; from riskml.cli.app import main;"
        "room.backtest = lambda *_, **__: os.kill(os.getpid(), 9); main(sys.argv[1:])"
    )
    where = [str(finished / "shop.toml"), "--runs", str(finished / "runs"), "--set", "backtest.seed=5"]
    killed = subprocess.run([sys.executable, "-c", code, "run", *where], capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL and not tidy(finished)
    assert snapshot(finished / "runs") == before
    session = riskml("run", *where)
    assert session.code in (0, 1, 4) and session.err.count(": fresh") == 4 and tidy(finished)


def test_reader_that_goes_away(finished: Path) -> None:
    """`riskml … | head` ends without a word about the closed pipe."""
    release = next((finished / "runs" / "shop" / "package").glob("*.riskml"))
    table = finished / "runs" / "shop" / "features" / "features.parquet"
    for words in (["--help"], ["score", str(release), str(table), "-q"]):
        command = [sys.executable, "-m", "riskml", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 0, words


def test_two_runs_at_once(finished: Path) -> None:
    """The second command in a folder is refused with the process that holds it, and the first loses nothing."""
    code = (
        "import sys, time; from pathlib import Path; from riskml.cli.runs import RunFolder;\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n    print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(finished / "runs" / "shop")]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        before = snapshot(finished / "runs")
        refused(riskml("run", finished / "shop.toml", "--runs", finished / "runs"), f"process {holder.pid}", "--runs")
        assert snapshot(finished / "runs") == before
    finally:
        holder.kill()
        holder.communicate()
    assert riskml("check", finished / "shop.toml", "--runs", finished / "runs").code == 0


def test_second_run_is_fresh_and_says_the_same(finished: Path) -> None:
    """A second run redoes nothing, changes no byte and gives the same verdict; one change redoes what depends on it."""
    before = snapshot(finished / "runs")
    session = riskml("run", finished / "shop.toml", "--runs", finished / "runs")
    assert session.err.count(": fresh") == 6
    assert snapshot(finished / "runs") == before
    changed = riskml("run", finished / "shop.toml", "--runs", finished / "runs", "--set", "backtest.draws=300")
    said = dict(line.split(": ", 1) for line in changed.err.splitlines())
    assert {stage for stage in STAGES if said[stage] != "fresh"} == {"backtest", "package"}


@pytest.mark.parametrize(
    ("command", "change", "needs"),
    [
        ("train", "events.csv", "check"),
        ("backtest", "--set train.seed=9", "train"),
        ("package", "--set backtest.seed=9", "backtest"),
        ("package", "runs/shop/train/model/model.json", "train"),
    ],
)
def test_stale_input_is_refused(finished: Path, command: str, change: str, needs: str) -> None:
    """A single command names the stage that is stale and the command that refreshes it."""
    extra = change.split() if change.startswith("--") else []
    if not extra:
        with (finished / change).open("a") as file:
            file.write("t-9,2026-02-28T00:00:00Z,1,d1,5.0,NL,0\n")
    session = riskml(command, finished / "shop.toml", "--runs", finished / "runs", *extra)
    refused(session, f"needs `{needs}`, which is stale", f"riskml {needs} ")


def test_missing_input_is_refused(tmp_path: Path) -> None:
    """A command before its time says which one comes first."""
    recipe = make_shop(tmp_path, frame=shop(300))
    refused(riskml("train", recipe, "--runs", tmp_path / "runs"), "has not been run", "riskml check ")
