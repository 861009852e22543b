"""The verdict's benchmark runs on a small log and agrees with the plain way it is set beside."""

from __future__ import annotations

import json

import pytest

from benchmarks import verdict


@pytest.mark.parametrize("more", [[], ["--control"]])
def test_a_small_run_prints_its_ratio_as_json(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard errors agree, or it stops; out come seconds and, where outcomes are seen, one ratio."""
    monkeypatch.setattr("sys.argv", ["verdict", "--decisions", "40000", "--draws", "200", "--json", *more])
    verdict.main()
    found = json.loads(capsys.readouterr().out)
    assert found["decisions"] == 40_000 and found["seconds"]["judge"] > 0
    assert set(found["ratios"]) == (set() if more else {"gathering rows"})
