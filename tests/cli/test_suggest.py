"""`riskml rule suggest`: the table, the document, the rule file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from riskml.cli.app import main
from riskml.expression import parse
from riskml.recipe.parse import load_recipe
from riskml.recipe.rulefile import read_rule
from tests.transcript import RECIPE, Session, make_shop, refused, riskml, shop, tidy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with its features computed."""
    made = tmp_path_factory.mktemp("suggest")
    make_shop(made)
    for stage in ("check", "features"):
        assert riskml(stage, made / "shop.toml", "--runs", made / "runs").code == 0
    return made


def ask(folder: Path, *words: object) -> Session:
    return riskml("rule", "suggest", folder / "shop.toml", "--runs", folder / "runs", *words)


def test_the_answer_is_a_table_and_toml(folder: Path) -> None:
    """A row a candidate and a version to paste on stdout; what it rests on, with both parts, on stderr."""
    session = ask(folder)
    assert session.code == 0
    table, _, snippet = session.out.partition("\n\n")
    head, first, *_ = table.splitlines()
    assert head.split()[:4] == ["#", "alerts/day", "precision", "recall"] and head.endswith("rule")
    when = first[head.index("rule", head.index("null rows")) :]
    assert snippet.splitlines()[:2] == ["[[rule.version]]", f"when = {json.dumps(when)}"]
    assert parse(when).columns
    assert session.err.startswith("found on 2026-01-01 to ") and "shown on " in session.err


def test_the_document_says_the_same(folder: Path) -> None:
    """--json gives one document with a schema, every candidate, both parts and TOML; and the same again."""
    body = json.loads(ask(folder, "--json", "-q").out)
    assert body == json.loads(ask(folder, "--json", "-q").out)
    assert body["schema"] == "riskml.suggest/1" and body["budget"]["source"] == "rule"
    assert body["confidence"] == 0.95
    assert body["earlier"]["end"] == body["later"]["start"] and body["later"]["frauds"] > 0
    for one in body["candidates"]:
        assert one["toml"].startswith("[[rule.version]]\n") and parse(one["when"])
        for part in ("found", "shown"):
            for share in ("precision", "recall", "value_recall", "value_precision"):
                found = one[part][share]
                assert 0 <= found["low"] <= found["estimate"] <= found["high"] <= 1


def test_the_snippet_is_a_version_of_the_recipe(folder: Path, tmp_path: Path) -> None:
    """Pasted under [rule] it loads, as written and from the instant it was found at."""
    body = json.loads(ask(folder, "--json", "--as-of", "2026-02-20", "--alerts", 4).out)
    best = body["candidates"][0]
    pasted = RECIPE.replace('[[rule.version]]\nwhen = "amount > 120"\n', best["toml"])
    recipe = load_recipe(make_shop(tmp_path, pasted), [])
    assert recipe.rule is not None and recipe.rule.versions[0].when == best["when"]
    assert body["as_of"] == "2026-02-20T00:00:00Z" and "from = 2026-02-20T00:00:00Z" in best["toml"]


def test_the_rule_file_is_read_back(folder: Path, tmp_path: Path) -> None:
    """--out writes the picked candidate whole, as `backtest --vs-rule` reads it, over an older one too."""
    out = tmp_path / "rule.toml"
    out.write_text("old")
    missing = ask(folder, "--out", out, "--most", 50, "--pick", 50)
    refused(missing, "there is no candidate 50", "pick one of those shown")
    assert out.read_text() == "old"
    body = json.loads(ask(folder, "--json", "--out", out).out)
    assert [version.when for version in read_rule(out).versions] == [body["candidates"][0]["when"]]
    assert out.stat().st_mode & 0o777 == 0o644 and tidy(tmp_path) and len(list(tmp_path.iterdir())) == 1


def test_features_are_offered_where_asked(folder: Path, tmp_path: Path) -> None:
    """With --features a candidate may read them; its TOML is a comment then, and it is not written as a rule."""
    body = json.loads(ask(folder, "--json", "--features", "--most", 20).out)
    reads = [at for at, one in enumerate(body["candidates"], start=1) if one["reads_features"]]
    assert reads
    for at in reads:
        text = body["candidates"][at - 1]["toml"]
        assert all(line.startswith("#") for line in text.splitlines())
    out = tmp_path / "rule.toml"
    session = ask(folder, "--features", "--most", 20, "--out", out, "--pick", reads[0])
    refused(session, f"candidate {reads[0]} reads features of the run", "leave --features out")
    assert not out.exists() and tidy(tmp_path)


def test_first_days_of_the_threat(folder: Path) -> None:
    """--days counts from the opening of the threat, or from the first event where none is declared."""
    first = json.loads(ask(folder, "--json", "--days", 40).out)
    assert first["as_of"].startswith("2026-02-10")
    opened = json.loads(ask(folder, "--json", "--days", 40, "--set", "threat.opened_at=2026-01-11T00:00:00Z").out)
    assert opened["as_of"] == "2026-02-20T00:00:00Z"
    since = json.loads(ask(folder, "--json", "--since", "2026-01-06T12:00:00+02:00", "--share", "0.5").out)
    assert since["earlier"]["start"] == "2026-01-06T10:00:00Z"
    assert since["earlier"]["days"] == pytest.approx(since["later"]["days"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--days", "3"], "too few to find a rule on", "confirm suspects by hand"),
        (["--days", "3", "--as-of", "2026-02-01"], "--as-of and --days both say", "give one"),
        (["--as-of", "soon"], "--as-of `soon` is not a time", "2026-10-05"),
        (["--since", "2026-01-05T10:00:00"], "has no time zone", "end it with Z"),
        (["--as-of", "2027-01-01"], "outside the data", "2026-01-01"),
        (["--pick", "9", "--out", "x.toml"], "--pick 9 is beyond --most 5", "pick one of those shown"),
        (["--out", "nowhere/x.toml"], "no folder nowhere", "make it first"),
        (["--share", "0.99"], "invalid value for '--share'", "riskml rule -h"),
    ],
)
def test_refusals(folder: Path, words: list[str], error: str, hint: str) -> None:
    """Each wrong question is one clear error, and nothing is written."""
    refused(ask(folder, *words), error, hint)
    assert tidy(folder)


def test_features_must_be_fresh(folder: Path, tmp_path: Path) -> None:
    """--features refuses a run without features, and one whose features are of another recipe."""
    make_shop(tmp_path)
    missing = riskml("rule", "suggest", tmp_path / "shop.toml", "--runs", tmp_path / "runs", "--features")
    refused(missing, "has not been run", "riskml features")
    refused(ask(folder, "--features", "--set", "events.inputs=['amount']"), "is stale: the recipe changed", "features")


def test_no_rule_exits_with_one(tmp_path: Path) -> None:
    """Where fraud has nothing to do with what is known, the answer is no: exit code 1, an empty table, a reason."""
    frame = shop()
    frame["amount"], frame["country"] = 10.0 + frame.index % 7, "NL"
    path = make_shop(tmp_path, RECIPE.replace("amount > 120", "amount > 12"), frame)
    session = riskml("rule", "suggest", path, "--runs", tmp_path / "runs", "--alerts", "0.1")
    assert session.code == 1 and session.out.strip() == "no rule found"
    assert "a greater --alerts would help" in session.err


def test_the_group_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`riskml rule -h` lists the command, whose own help ends with an example; a slip is pointed at."""
    assert main(["rule", "-h"]) == 0
    assert "suggest" in capsys.readouterr().out
    assert main(["rule", "suggest", "-h"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("--days 14")
    refused(riskml("rule", "sugest"), "no such command `sugest`", "riskml rule -h")
    refused(riskml("rle", "suggest"), "no such command `rle`", "riskml rule")
