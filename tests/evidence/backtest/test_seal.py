"""The seal holds: a development verdict knows nothing of the sealed window, and sign-off judges it alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from riskml.data.labels import label_log
from riskml.errors import DataError
from riskml.evidence.backtest import backtest
from riskml.evidence.backtest.judge import _subject
from riskml.evidence.backtest.ledger import Request, read
from riskml.recipe.spec import DAY
from tests.evidence.backtest.test_judge import END, TEST, judge_world, recipe, world

CUT = END - 12 * DAY
SPEC = recipe(sign_off=12 * DAY, segments=("amount > 300",))
SEEN = ("headline", "counts", "points", "add", "replace", "evidence", "swap", "saved", "baselines", "weeks", "ranking")
SEEN += ("matches", "segments", "threats", "looks", "flips", "rollback", "net_value", "day_blocks")


def test_nothing_sealed_moves_a_development_verdict() -> None:
    """Scores, amounts, the rule's alerts and outcomes of the sealed days may be anything: every figure stays."""
    tables, margins, windows, _ = world(chance=0.8)
    before = judge_world(SPEC, tables, margins, windows).to_dict()
    late = (tables.events.time >= CUT) & (tables.events.time < END)
    frame = tables.events.frame
    frame["amount"] = np.where(late, 1e5, frame["amount"])
    frame["listed"] = np.where(late, True, frame["listed"])
    tables.labels["is_fraud"] = np.where(
        late[tables.labels["id"]], 1 - tables.labels["is_fraud"], tables.labels["is_fraud"]
    )
    after = judge_world(SPEC, tables, np.where(late, 50.0, margins), windows).to_dict()
    for name in SEEN:
        assert after[name] == before[name], name
    assert before["counts"]["test"] == ((tables.events.time >= TEST) & (tables.events.time < CUT)).sum()  # type: ignore[index]


def test_sign_off_judges_the_sealed_days_alone(tmp_path: Path) -> None:
    """Its counts are those of the sealed days, its intervals hold at its own level, its line is the same."""
    tables, margins, windows, _ = world(chance=0.8)
    ask = Request(tmp_path / "ledger.jsonl", 5)
    facts = judge_world(SPEC, tables, margins, windows, sign_off=ask)
    time = tables.events.time
    assert facts.counts.test == ((time >= CUT) & (time < END)).sum() and facts.counts.days == pytest.approx(12)
    assert facts.confidence == facts.looks.confidence == pytest.approx(0.975)
    plain = judge_world(recipe(segments=("amount > 300",)), tables, margins, windows)
    assert facts.points == plain.points and facts.hashes["backtest"] == SPEC.digest("backtest")
    (entry,) = read(ask.ledger)
    assert (entry.start, entry.end, entry.at, entry.model) == (CUT, END, 5, "m")
    inner = judge_world(
        recipe(sign_off=12 * DAY, segments=("amount > 300",), confidence=0.975), tables, margins, windows
    )
    assert inner.looks.part == "development" and len(read(ask.ledger)) == 1


def test_other_data_another_question_and_another_rival_are_other_subjects() -> None:
    """What decides an answer tells looks apart; where a file lies or what time it is does not."""
    tables, *_ = world()
    rival: Any = SimpleNamespace(kind="release", digest="d")
    found = [_subject(SPEC, tables, None), _subject(recipe(sign_off=12 * DAY, question="add"), tables, None)]
    found += [_subject(SPEC, tables, rival), _subject(SPEC, SimpleNamespace(fingerprint="g"), None)]  # type: ignore[arg-type]
    assert len(set(found)) == 4 and _subject(SPEC, world(seed=1)[0], None) == found[0]


def test_an_incomplete_log_spends_no_look(tmp_path: Path) -> None:
    """INVALID comes before the ledger is touched."""
    tables, margins, windows, _ = world()
    log = label_log(SPEC, tables)
    del tables.events.frame["action"]
    with pytest.raises(DataError, match=r"INVALID: the log cannot carry a verdict: rule[.]action names `action`"):
        backtest(SPEC, tables, None, log, windows, None, sign_off=Request(tmp_path / "l", 1))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir()) and len(margins)
