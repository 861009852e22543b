"""`serve` at the command line: what does not fit ends before anything listens, with one clear error."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.transcript import refused, riskml

RELEASE = Path("runs") / "shop" / "package" / "shop-0.1.0.riskml"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--sync", "intervall"), "there is no `--sync intervall`"),
        (("--limit", "boddy=1"), "there is no limit `boddy`"),
        (("--ramp", "0.1"), "--ramp shares events with a challenger"),
        (("--host", "0.0.0.0"), "anyone who reaches 0.0.0.0"),
        (("--token-file", "nowhere"), "cannot read the token in nowhere"),
        (("--set", "a=1"), "--set changes a recipe"),
        (("--challenger", "nowhere.riskml"), "no challenger at nowhere.riskml"),
        (("--trust", "nowhere.pub"), "no key at nowhere.pub"),
        (("--host", "300.1.1.1", "--token-file", "token"), "cannot listen on 300.1.1.1"),
    ],
)
def test_what_does_not_fit_is_one_error(
    once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    """Exit 2, one error, a hint, no traceback."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("0123456789abcdef\n")
    refused(riskml("serve", once / RELEASE, "--port", "0", *words), error)


def test_no_release_and_an_altered_one_are_refused(once: Path, tmp_path: Path) -> None:
    """A missing file is named, and an altered one never listens."""
    refused(riskml("serve", once / "nowhere.riskml", "--port", "0"), "no release at")
    body = bytearray((once / RELEASE).read_bytes())
    body[len(body) // 2] ^= 1
    altered = tmp_path / "altered.riskml"
    altered.write_bytes(body)
    refused(riskml("serve", altered, "--port", "0"), "`altered.riskml`")


def test_a_missing_extra_is_named(once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries of the extra the error says what to install."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvloop" else real(name, *a))
    session = riskml("serve", once / RELEASE)
    refused(session, "serving needs uvloop")
    assert "riskml[serve]" in session.err
