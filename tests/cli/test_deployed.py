"""`verify` and `score` at the command line: what is on stdout, and what an altered release ends with."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.transcript import refused, riskml

RELEASE = Path("runs") / "shop" / "package" / "shop-0.1.0.riskml"


@pytest.fixture
def altered(shop_folder: Path) -> Path:
    """The release with one byte changed."""
    path = shop_folder / RELEASE
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    return path


def test_a_whole_release_ends_with_0(once: Path) -> None:
    """`verify` says OK on stdout alone, and as a document with `--json`."""
    session = riskml("verify", once / RELEASE)
    assert (session.code, session.err) == (0, "") and session.out.startswith("OK: shop-0.1.0.riskml is whole")
    body = json.loads(riskml("verify", once / RELEASE, "--json").out)
    assert body["schema"] == "riskml.verify/1" and body["ok"] and body["problems"] == []


def test_an_altered_release_ends_with_1(altered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` of an altered file answers no: 1, the word ALTERED, the problems in the document and on GitHub."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    session = riskml("verify", altered)
    assert session.code == 1 and session.out.startswith("ALTERED: shop-0.1.0.riskml: ")
    assert session.err.startswith("::error title=riskml::") and "Traceback" not in session.err
    again = riskml("verify", altered, "--json")
    assert again.code == 1 and not json.loads(again.out)["ok"] and json.loads(again.out)["problems"]


def test_an_altered_release_is_not_loaded(altered: Path, shop_folder: Path) -> None:
    """`score` with an altered release cannot answer: 2, one error, nothing on stdout."""
    table = shop_folder / "runs" / "shop" / "features" / "features.parquet"
    session = riskml("score", altered, table)
    assert session.out == ""
    refused(session, "shop-0.1.0.riskml")


def test_scores_are_rows_or_one_document(once: Path) -> None:
    """`score` gives CSV on stdout, or one document with the same decisions; words go to stderr."""
    table = once / "runs" / "shop" / "features" / "features.parquet"
    session = riskml("score", once / RELEASE, table)
    rows = list(csv.DictReader(io.StringIO(session.out)))
    body = json.loads(riskml("score", once / RELEASE, table, "--json").out)
    assert session.code == 0 and f"scored {len(rows):,} events" in session.err
    assert body["schema"] == "riskml.score/1" and body["rows"] == len(body["decisions"]) == len(rows)
    assert [row["action"] for row in body["decisions"]] == [row["action"] for row in rows]


def test_warm_says_where_the_code_is_kept(once: Path) -> None:
    """`warm` needs no release, and with one it loads that; both name the folder of the machine code."""
    for words in ((), (once / RELEASE,)):
        session = riskml("warm", *words, "--json")
        body = json.loads(session.out)
        assert session.code == 0 and body["schema"] == "riskml.warm/1" and body["kept"]
        assert body["release"] == (str(words[0]) if words else None)
    assert riskml("warm").out.startswith("machine code for scoring is ready after ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("verify", "no.riskml"), "no release at no.riskml"),
        (("warm", "no.riskml"), "no release at no.riskml"),
        (("score", "no.riskml", "no.csv"), "no release at no.riskml"),
    ],
)
def test_what_is_not_there_is_refused(words: tuple[str, ...], error: str) -> None:
    """A path that leads nowhere is one error with a hint."""
    refused(riskml(*words), error)
