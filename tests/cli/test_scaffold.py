"""`riskml init`: a project that runs as it stands, honest guesses, and nothing overwritten."""

from __future__ import annotations

import json
import shlex
import subprocess
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from riskml.cli.guess import Named, guess
from riskml.cli.starter import starter_recipe
from riskml.errors import DataError, UsageError
from riskml.recipe.parse import load_recipe
from tests.transcript import refused, riskml, shop, tidy


def table(folder: Path, frame: pd.DataFrame | None = None) -> Path:
    path = folder / "payments.csv"
    (shop() if frame is None else frame).to_csv(path, index=False)
    return path


def test_own_table_becomes_a_project_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a CSV alone: guesses are said, the recipe is valid, and its first run reaches a verdict and a release."""
    monkeypatch.chdir(tmp_path)
    session = riskml("init", "mine", "--from", table(tmp_path))
    assert session.code == 0, session
    for said in ("time: created_at", "label: is_fraud", "id: txn_id", "amount: amount", "customer_id, device_id"):
        assert said in session.err
    assert session.err.rstrip().endswith("next: cd mine && riskml run recipe.toml")
    assert (tmp_path / "mine" / ".github" / "workflows" / "riskml.yml").is_file()
    assert len((tmp_path / "mine" / "README.md").read_text().splitlines()) <= 10
    assert tidy(tmp_path)
    monkeypatch.chdir(tmp_path / "mine")
    done = riskml("run", "recipe.toml", "--set", "train.trials=1", "--set", "backtest.draws=200")
    assert done.code in (0, 1, 4), done
    assert list(Path("runs/mine/package").glob("mine-*.riskml"))


def test_shipped_recipe_brings_its_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`riskml init DIR` simulates the world of the default recipe, which then passes its own check."""
    monkeypatch.chdir(tmp_path)
    session = riskml("init", "demo", "--users", "1500")
    assert session.code == 0, session
    monkeypatch.chdir(tmp_path / "demo")
    found = riskml("check", "account_takeover.toml")
    assert found.code == 0, found
    assert "sample_data" not in Path("account_takeover.toml").read_text()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds anything is refused and keeps what it holds; an empty one is filled."""
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    refused(riskml("init", taken, "--from", table(tmp_path)), "is not empty")
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert riskml("init", empty, "--from", table(tmp_path)).code == 0
    assert (empty / "recipe.toml").is_file()


def test_failure_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while the project is made leaves neither the folder nor a temporary one."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("riskml.cli.scaffold.shutil.copyfile", full)
    refused(riskml("init", tmp_path / "new", "--from", table(tmp_path)), "No space left")
    assert [path.name for path in tmp_path.iterdir()] == ["payments.csv"]


def test_a_place_that_takes_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    """Where no folder can be made, one error says so, and nothing is left behind."""
    (tmp_path / "file").touch()
    source = table(tmp_path)
    refused(riskml("init", tmp_path / "file" / "new", "--from", source), "cannot make a folder at", "may write")
    refused(riskml("init", tmp_path / ("n" * 300), "--from", source), "cannot make a folder at", "may write")
    assert tidy(tmp_path)


def test_next_step_can_be_pasted(tmp_path: Path) -> None:
    """A folder with a space or a quote is quoted for the shell."""
    session = riskml("init", tmp_path / "my team's", "--from", table(tmp_path, shop(300)))
    said = session.err.rstrip().splitlines()[-1].removeprefix("next: ")
    assert shlex.split(said)[:3] == ["cd", str(tmp_path / "my team's"), "&&"]


@pytest.mark.parametrize(("code", "passes"), [(0, True), (1, False), (2, False), (4, True)])
def test_workflow_accepts_an_open_verdict(code: int, passes: bool, tmp_path: Path) -> None:
    """The CI step passes on SHIP and on INCONCLUSIVE, and fails on a no or on no answer."""
    assert riskml("init", tmp_path / "p", "--from", table(tmp_path, shop(300))).code == 0
    text = (tmp_path / "p" / ".github" / "workflows" / "riskml.yml").read_text()
    (step,) = [line.strip().removeprefix("- run: ") for line in text.splitlines() if "riskml run" in line]
    done = subprocess.run(["bash", "-e", "-c", f"riskml() {{ return {code}; }}\n{step}"], check=False)
    assert (done.returncode == 0) == passes


def test_json_says_the_guesses(tmp_path: Path) -> None:
    """With `--json` the document holds files and guesses."""
    session = riskml("init", tmp_path / "p", "--from", table(tmp_path), "--json")
    body = json.loads(session.out)
    assert body["schema"] == "riskml.init/1" and "recipe.toml" in body["files"]
    assert body["guesses"]["label"] == "is_fraud" and body["guesses"]["entities"] == ["customer_id", "device_id"]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--recipe", "acount_takeover"], "no recipe `acount_takeover`", "did you mean `account_takeover`?"),
        (["--from", "{0}/payment.csv"], "no table at", "payments.csv"),
        (["--from", "{0}/payments.csv", "--label", "is_frod"], "no column `is_frod`", "`is_fraud`"),
    ],
)
def test_wrong_words(words: list[str], error: str, hint: str, tmp_path: Path) -> None:
    """A name that does not exist is answered with the nearest one that does."""
    table(tmp_path)
    refused(riskml("init", tmp_path / "p", *(word.format(tmp_path) for word in words)), error, hint)
    assert not (tmp_path / "p").exists()


def test_without_a_label_it_says_how_to_name_one(tmp_path: Path) -> None:
    """What cannot be guessed is asked for by its option, not invented."""
    refused(
        riskml("init", tmp_path / "p", "--from", table(tmp_path, shop().drop(columns="is_fraud"))), "label", "--label"
    )


def test_without_an_id_rows_are_numbered(tmp_path: Path) -> None:
    """A table without unique values gets a numbered id, and says so."""
    session = riskml("init", tmp_path / "p", "--from", table(tmp_path, shop(300).drop(columns="txn_id")))
    assert session.code == 0 and "`event_id` numbers the rows" in session.err
    assert load_recipe(tmp_path / "p" / "recipe.toml").events.id == "event_id"
    assert pd.read_parquet(tmp_path / "p" / "data" / "payments.parquet")["event_id"].is_unique


def test_guess_prefers_what_was_said() -> None:
    """A given column is taken as it is, and the rest is guessed around it."""
    frame = shop(300).assign(is_bad=lambda f: f.is_fraud)
    found = guess(frame, Named(label="is_bad", entities=("country",)))
    assert found.columns.label == "is_bad" and found.columns.entities == ("country",)
    assert "is_fraud" not in found.inputs


def test_guess_keeps_leaks_out() -> None:
    """Columns that give the label away, clocks, identifiers and outcomes are no inputs, and the reason is said."""
    frame = shop(2000)
    frame["closed_reason"] = frame.is_fraud.map({1: "stolen", 0: "none"})
    frame["refund_amount"] = 0.5
    frame["row_number"] = range(len(frame))
    frame["session_id"] = frame.customer_id * 2
    frame["paid_at"] = frame.created_at
    found = guess(frame, Named())
    assert found.inputs == ("amount", "country")
    said = found.reasons[-1]
    assert all(name in said for name in ("closed_reason", "refund_amount", "row_number", "session_id", "paid_at"))


def test_guess_takes_the_only_binary_column() -> None:
    """Without a telling name, a lone column of 0 and few 1 is the label; two such columns are too many."""
    frame = shop(500).rename(columns={"is_fraud": "outcome_7"})
    assert guess(frame, Named()).columns.label == "outcome_7"
    assert guess(frame.assign(other=frame.outcome_7), Named()).columns.label == ""


@pytest.mark.parametrize("words", [("No", "Yes"), ("n", "y"), ("legit", "fraud"), ("False", "True"), ("0", "1")])
def test_guess_reads_yes_and_no_labels(words: tuple[str, str]) -> None:
    """A label in words is found by its name, whatever its spelling."""
    frame = shop(300)
    frame["Is Fraud?"] = frame.pop("is_fraud").map(dict(enumerate(words)))
    assert guess(frame, Named()).columns.label == "Is Fraud?"


@pytest.mark.parametrize("given", [Named(), Named(label="is_fraud")])
@pytest.mark.parametrize("value", [0, 1, "No"])
def test_a_label_of_one_class_is_named(value: int | str, given: Named) -> None:
    """A label with one class only is refused by name, and no other column of 0 and 1 takes its place."""
    frame = shop(300).assign(is_new=lambda f: f.is_fraud).assign(is_fraud=value)
    with pytest.raises(DataError, match=f"`is_fraud` holds only {value}"):
        guess(frame, given)


def test_a_late_fraud_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The label is judged by all its rows, not by the first that guesses look at."""
    monkeypatch.setattr("riskml.cli.guess.SAMPLE", 100)
    frame = shop(300).assign(is_fraud=[0] * 299 + [1])
    assert guess(frame, Named()).columns.label == "is_fraud"


def test_decimal_commas_are_named() -> None:
    """A column such as 12,50 is left out for what it is."""
    frame = shop(300).assign(amount=[f"{i},5" for i in range(300)])
    assert "amount (numbers with decimal commas: write points)" in guess(frame, Named()).reasons[-1]


def test_an_amount_of_words_is_refused() -> None:
    """A given amount that is no number is told at once."""
    with pytest.raises(DataError, match="`country` are no numbers"):
        guess(shop(300), Named(amount="country"))


def test_guess_reads_entities_with_gaps() -> None:
    """A numeric identifier with missing values, which pandas reads as float, is still an entity."""
    frame = shop(500)
    frame["device_id"] = frame.device_id.str[1:].astype(float).where(frame.index % 7 > 0)
    assert guess(frame, Named()).columns.entities == ("customer_id", "device_id")


def test_guess_refuses_an_empty_table() -> None:
    """No rows, no guesses; and an unknown column is a usage error."""
    with pytest.raises(DataError):
        guess(shop(10).head(0), Named())
    with pytest.raises(UsageError):
        guess(shop(10), Named(time="nowhere"))


def test_hostile_column_names_stay_inside_their_quotes() -> None:
    """Column names with quotes, newlines and comments end up as values of a valid recipe, never as its keys."""
    evil = 'id"\n[train]\ntrials = 999 #'
    frame = shop(300).rename(columns={"txn_id": evil, "amount": 'amount" > 0\n[train]'})
    made = guess(frame, Named(id=evil))
    body = tomllib.loads(starter_recipe(frame, made, "data/x.csv", "a\n[rule]"))
    assert body["events"]["id"] == evil and body["train"]["trials"] == 10 and body["rule"]["enforced"] is False
    assert set(body["events"]["inputs"]) == set(made.inputs)


def test_a_table_without_an_amount_gets_a_stand_in_rule() -> None:
    """The rule stands on the number that tells frauds best, fires at least once, and says what it is."""
    frame = shop(2000).drop(columns="amount")
    frame["noise"] = range(2000)
    frame["noise"] = frame["noise"] * 7919 % 1000
    frame["age"] = 1000 - frame.is_fraud * 500 + frame["noise"] % 100
    text = starter_recipe(frame, guess(frame, Named()), "x.csv", "x")
    (version,) = tomllib.loads(text)["rule"]["version"]
    column, sign, line = version["when"].split()
    assert (column, sign) == ("age", "<")
    assert 0 < (frame.age < float(line)).sum() < 100
    assert "stand-in" in text and "write the rule you run today" in text


@pytest.mark.parametrize("values", [[1] * 1000, [0] * 995 + [5] * 5, [99.6] * 1000])
def test_the_stand_in_rule_fires_somewhere(values: list[float]) -> None:
    """Rounding the line or a column of few values never leaves a rule without alerts."""
    frame = shop(len(values)).assign(amount=values)
    made = guess(frame.assign(amount=range(len(values))), Named(label="is_fraud", amount="amount"))
    (version,) = tomllib.loads(starter_recipe(frame, made, "x.csv", "x"))["rule"]["version"]
    assert len(frame.query(version["when"])) > 0


def test_without_any_number_it_says_what_needs_a_rule(tmp_path: Path) -> None:
    """A table of texts gets no rule; init says what waits for one, and the next step is one that works."""
    frame = shop(300)[["txn_id", "created_at", "customer_id", "country", "is_fraud"]]
    session = riskml("init", tmp_path / "p", "--from", table(tmp_path, frame))
    assert session.code == 0 and "backtest and package need a [rule]" in session.err
    assert "riskml run" not in session.err and session.err.rstrip().endswith("&& riskml train recipe.toml")
    assert load_recipe(tmp_path / "p" / "recipe.toml").rule is None
    assert "Write a [rule] before" in (tmp_path / "p" / "README.md").read_text()


def test_windows_are_bounded() -> None:
    """No feature of a first recipe grows with the age of the log."""
    frame = shop(300)
    for group in tomllib.loads(starter_recipe(frame, guess(frame, Named()), "x.csv", "x"))["features"]:
        assert group["over"] and "ever" not in group["over"]


def test_short_log_is_refused() -> None:
    """A log of hours cannot be split into past and future."""
    frame = shop(300, days=1)
    with pytest.raises(DataError, match="too short"):
        starter_recipe(frame, guess(frame, Named()), "x.csv", "x")


def test_a_person_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a person at the terminal each guess is put as a question, and an empty answer takes the guess."""
    asked: list[str] = []

    def answer(self: object, question: str, default: str) -> str:
        asked.append(question)
        return "device_id" if "who or what" in question else default

    monkeypatch.setattr("riskml.cli.console.Console.can_ask", property(lambda self: True))
    monkeypatch.setattr("riskml.cli.console.Console.ask", answer)
    assert riskml("init", tmp_path / "p", "--from", table(tmp_path, shop(300))).code == 0
    assert len(asked) == 5
    assert load_recipe(tmp_path / "p" / "recipe.toml").events.entities == {"device": "device_id"}


def test_a_recipe_on_public_data_gets_a_world_like_it(tmp_path: Path) -> None:
    """Where the data is not part of riskml, the project holds a simulated stand-in under the public name."""
    session = riskml("init", tmp_path / "cards", "--recipe", "handbook_cards", "--users", "60")
    assert session.code == 0
    assert 'path = "data/fdh_raw.parquet"' in (tmp_path / "cards" / "handbook_cards.toml").read_text()
    assert riskml("check", tmp_path / "cards" / "handbook_cards.toml", "--runs", tmp_path / "runs").code == 0
