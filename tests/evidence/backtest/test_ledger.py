"""Looks into the sealed window: what they cost, what is free, and a ledger nobody can quietly shorten or mend."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskml.data.split import Windows, iso
from riskml.errors import DataError, UsageError
from riskml.evidence.backtest.ledger import Looks, Request, cost, look, read, take
from riskml.recipe.spec import DAY, Backtest, Events, Labels, Recipe, Threat

WINDOWS = Windows(0, 20 * DAY, 30 * DAY, 40 * DAY, 50 * DAY, 78 * DAY, 88 * DAY, 10 * DAY)
SEALED = (64 * DAY, 78 * DAY)
RECIPE = Recipe(Threat("t"), Events("events", "e", "id", "time"), Labels(DAY), backtest=Backtest(sign_off=14 * DAY))


def asked(tmp_path: Path, now: int = 1) -> Request:
    return Request(tmp_path / "ledger.jsonl", now)


def test_all_looks_together_cost_no_more_than_alpha() -> None:
    """alpha / (k (k + 1)) over a million looks sums to alpha, and to all but alpha / (n + 1) of it after n."""
    total = sum(cost(0.05, k) for k in range(1, 1_000_001))
    assert total < 0.05 and total == pytest.approx(0.05 * (1 - 1 / 1_000_001))
    assert [cost(0.05, k) for k in (1, 2, 3)] == pytest.approx([0.025, 0.05 / 6, 0.05 / 12])


def test_each_new_model_pays_more_and_the_same_look_again_nothing(tmp_path: Path) -> None:
    """Look k holds at 1 - alpha_k; a rerun gives its own level back and adds no line."""
    levels = []
    for k, model in enumerate(("a", "b", "c"), 1):
        recipe, windows, facts = take(RECIPE, WINDOWS, model, "s", asked(tmp_path, k))
        assert (facts.part, facts.look, facts.repeated, facts.ledger) == (
            "sign-off",
            k,
            False,
            "new" if k == 1 else "found",
        )
        assert (windows.test_start, windows.test_end) == SEALED and windows.calibrate_end == WINDOWS.calibrate_end
        assert recipe.backtest.confidence == facts.confidence == pytest.approx(1 - 0.05 / (k * (k + 1)))
        assert recipe.backtest.draws * (1 - facts.confidence) / 2 >= 20 - 1e-6  # enough draws beyond each end
        levels.append(facts.confidence)
    again = take(RECIPE, WINDOWS, "a", "s", asked(tmp_path, 99))[2]
    assert (again.look, again.repeated, again.confidence, again.looks) == (1, True, levels[0], 3)
    assert len(read(tmp_path / "ledger.jsonl")) == 3
    assert again.spent_so_far == pytest.approx(sum(1 - level for level in levels))


def test_the_same_model_on_another_subject_or_window_is_another_look(tmp_path: Path) -> None:
    """Other data, another rival or a window shifted by a day all cost; a window apart starts anew."""
    ask = asked(tmp_path)
    assert look(ask, "m", "s", SEALED, 0.05)[0][-1].look == 1
    assert look(ask, "m", "other", SEALED, 0.05)[0][-1].look == 2
    shifted = (SEALED[0] + DAY, SEALED[1] + DAY)
    assert look(ask, "m", "s", shifted, 0.05)[0][-1].look == 3
    apart = (SEALED[1] + DAY, SEALED[1] + 15 * DAY)
    assert look(ask, "m", "s", apart, 0.05)[0][-1].look == 1
    touching = (SEALED[0] - DAY, SEALED[0])
    assert look(ask, "m", "s", touching, 0.05)[0][-1].look == 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.sampled_from("ab")), max_size=8))
def test_looks_are_counted_as_a_slow_reader_would(tmp_path_factory: pytest.TempPathFactory, wishes: list) -> None:  # type: ignore[type-arg]
    """k is one more than the different earlier looks that share an instant with the window."""
    ask = asked(tmp_path_factory.mktemp("looks"))
    seen: list[tuple[int, int, str]] = []
    for start, length, model in wishes:
        wish = (start, start + length, model)
        others = [old for old in seen if set(range(old[0], old[1])) & set(range(start, start + length))]
        found, fresh, repeated = look(ask, model, "s", wish[:2], 0.1)
        assert fresh is (not seen) and repeated is (wish in seen)
        if not repeated:
            assert found[-1].look == len(others) + 1 and found[-1].spent == cost(0.1, len(others) + 1)
            seen.append(wish)
        assert len(found) == len({*others, wish})


def test_without_sign_off_the_verdict_sees_what_lies_before(tmp_path: Path) -> None:
    """A development look ends where the seal begins, costs nothing and tells of earlier openings."""
    ledger = tmp_path / "ledger.jsonl"
    recipe, windows, facts = take(RECIPE, WINDOWS, "m", "s", None, ledger)
    assert recipe == RECIPE and (windows.test_start, windows.test_end) == (WINDOWS.test_start, SEALED[0])
    assert (facts.part, facts.spent, facts.ledger) == ("development", 0, "missing") and "no ledger" in facts.words
    assert not ledger.exists()
    take(RECIPE, WINDOWS, "m", "s", asked(tmp_path))
    later = take(RECIPE, WINDOWS, "m", "s", None, ledger)[2]
    assert (later.looks, later.ledger) == (1, "found") and "opened 1 time before" in later.words


def test_without_a_seal_all_is_as_before_and_it_says_so(tmp_path: Path) -> None:
    """No sign_off: whole window, declared confidence, no ledger; asking to sign off is an error of use."""
    open_ = replace(RECIPE, backtest=Backtest())
    recipe, windows, facts = take(open_, WINDOWS, "m", "s", None, tmp_path / "ledger.jsonl")
    assert (recipe, windows, facts.part) == (open_, WINDOWS, "whole") and "not sealed" in facts.words
    with pytest.raises(UsageError, match="seals no window"):
        take(open_, WINDOWS, "m", "s", asked(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_seal_as_long_as_the_test_window_is_refused() -> None:
    """Nothing would be left to develop on."""
    with pytest.raises(DataError, match="leaves nothing"):
        take(replace(RECIPE, backtest=Backtest(sign_off=28 * DAY)), WINDOWS, "m", "s", None)


def test_a_ledger_that_was_cut_short_or_removed_is_refused(tmp_path: Path) -> None:
    """The last line written here must be there; a longer ledger from elsewhere, or none and no memory, is fine."""
    ask = asked(tmp_path)
    for model in "ab":
        look(ask, model, "s", SEALED, 0.05)
    whole = ask.ledger.read_text()
    ask.ledger.write_text("".join(whole.splitlines(keepends=True)[:1]))
    with pytest.raises(DataError, match="was cut short"):
        look(ask, "a", "s", SEALED, 0.05)
    ask.ledger.unlink()
    for request in (ask, None):
        with pytest.raises(DataError, match="was removed"):
            take(RECIPE, WINDOWS, "a", "s", request, ask.ledger)
    elsewhere = Request(tmp_path / "other" / "ledger.jsonl", 1)
    elsewhere.ledger.parent.mkdir()
    elsewhere.ledger.write_text(whole)  # as from a checkout
    assert look(elsewhere, "c", "s", SEALED, 0.05)[0][-1].look == 3
    ask.ledger.write_text(elsewhere.ledger.read_text())
    assert look(ask, "c", "s", SEALED, 0.05)[2] is True


@pytest.mark.parametrize("harm", ["drop first", "drop middle", "change", "swap", "garbage", "half a line", "add"])
def test_an_altered_ledger_is_refused(tmp_path: Path, harm: str) -> None:
    """A line removed, changed, moved, invented or torn breaks the chain; nothing is written after it."""
    ask = asked(tmp_path)
    for model in "abc":
        look(ask, model, "s", SEALED, 0.05)
    lines = ask.ledger.read_text().splitlines()
    changed = json.dumps(json.loads(lines[1]) | {"spent": 0.0}, sort_keys=True)
    harmed = {
        "drop first": lines[1:],
        "drop middle": [lines[0], lines[2]],
        "change": [lines[0], changed, lines[2]],
        "swap": [lines[1], lines[0], lines[2]],
        "garbage": [*lines, "hello"],
        "half a line": [*lines[:2], lines[2][:40]],
        "add": [*lines, json.dumps(json.loads(lines[2]) | {"extra": 1})],
    }[harm]
    text = "\n".join(harmed) + "\n"
    ask.ledger.write_text(text)
    with pytest.raises(DataError, match="was altered at line") as caught:
        look(ask, "d", "s", SEALED, 0.05)
    assert caught.value.hint and ask.ledger.read_text() == text


def test_two_looks_at_once_cost_as_much_as_two_in_turn(tmp_path: Path) -> None:
    """Ten models that look at the same time take ten different numbers."""
    ask = asked(tmp_path)
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda n: look(ask, f"m{n}", "s", SEALED, 0.05)[0][-1].look, range(10)))
    assert sorted(found) == list(range(1, 11)) and [e.number for e in read(ask.ledger)] == list(range(1, 11))


def judged(folder: Path, facts: Looks, name: str = "backtest", events: int = 9, model: str = "m") -> None:
    """Leave a verdict in a run folder, as the command does."""
    body = {"looks": asdict(facts), "hashes": {"model": model, "data": "d"}, "counts": {"test": events}}
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "facts.json").write_text(json.dumps(body))


OPEN = replace(RECIPE, backtest=Backtest())
SHORT = replace(RECIPE, backtest=Backtest(sign_off=5 * DAY))


@pytest.mark.parametrize("first", [OPEN, SHORT])
def test_days_judged_before_they_were_sealed_are_a_look(tmp_path: Path, first: Recipe) -> None:
    """Without a seal or with a shorter one: the sign-off is the second look, and a rerun counts nothing again."""
    early = take(first, WINDOWS, "m", "s", None, tmp_path / "ledger.jsonl")[2]
    assert early.look is None and not list(tmp_path.iterdir())
    judged(tmp_path, early)
    facts = take(RECIPE, WINDOWS, "m", "s", asked(tmp_path))[2]
    assert (facts.look, facts.looks, facts.ledger) == (2, 2, "new")
    assert facts.spent == pytest.approx(0.05 / 6) and facts.spent_so_far == pytest.approx(0.05 / 2 + 0.05 / 6)
    assert "Days of it were judged before they were sealed, which counts as a look." in facts.words
    old, new = read(tmp_path / "ledger.jsonl")
    assert (old.start, old.end, old.look) == (SEALED[0], 78 * DAY if first is OPEN else 73 * DAY, 1)
    assert (new.start, new.end) == SEALED and old.model == "m"
    again = take(RECIPE, WINDOWS, "m", "s", asked(tmp_path))[2]
    assert (again.look, again.repeated) == (2, True) and len(read(tmp_path / "ledger.jsonl")) == 2


def test_a_development_look_counts_it_before_the_verdict_is_replaced(tmp_path: Path) -> None:
    """Sealing, developing and signing off in turn forgets nothing, and a verdict against a rival counts as well."""
    ledger = tmp_path / "ledger.jsonl"
    early = take(OPEN, WINDOWS, "m", "s", None, ledger)[2]
    judged(tmp_path, early)
    facts = take(RECIPE, WINDOWS, "m", "s", None, ledger)[2]
    assert facts.look is None and facts.looks == 1 and "judged before they were sealed" in facts.words
    assert "opened" not in facts.words.split("until it is opened")[1] and "no ledger here" in facts.words
    judged(tmp_path, facts)
    judged(tmp_path, early, "backtest-vs-champion", model="other")
    assert take(RECIPE, WINDOWS, "m", "s", asked(tmp_path))[2].look == 3


def test_what_saw_nothing_of_the_sealed_days_is_no_look(tmp_path: Path) -> None:
    """A development verdict up to the seal, one of no events and a file that is no verdict add nothing."""
    early = take(OPEN, WINDOWS, "m", "s", None)[2]
    judged(tmp_path, take(RECIPE, WINDOWS, "m", "s", None)[2])
    judged(tmp_path, early, "backtest-vs-rule", events=0)
    judged(tmp_path, replace(early, end=iso(SEALED[0])), "backtest-vs-champion")
    (tmp_path / "backtest-old").mkdir()
    (tmp_path / "backtest-old" / "facts.json").write_text("[]")
    facts = take(RECIPE, WINDOWS, "m", "s", asked(tmp_path))[2]
    assert facts.look == 1 and "before they were sealed" not in facts.words


@pytest.mark.parametrize(("later", "days"), [(OPEN, SEALED), (SHORT, (SEALED[0], 73 * DAY))])
def test_taking_the_seal_off_again_is_a_look(tmp_path: Path, later: Recipe, days: tuple[int, int]) -> None:
    """Once opened for sign-off, the days count whoever judges them; once each, and never twice for one verdict."""
    ask = asked(tmp_path)
    take(RECIPE, WINDOWS, "m", "s", ask)
    recipe, _, facts = take(later, WINDOWS, "m", "open", None, ask.ledger)
    assert (
        (facts.look, facts.repeated) == (2, False) and facts.spent == pytest.approx(cost(0.05, 2)) and recipe == later
    )
    assert "looked at days sealed for sign-off, which is written down as look 2" in facts.words
    entry = read(ask.ledger)[-1]
    assert (entry.start, entry.end, entry.subject) == (*days, "open")
    assert take(later, WINDOWS, "m", "open", None, ask.ledger)[2].repeated is True
    judged(tmp_path, facts)
    assert take(RECIPE, WINDOWS, "n", "s", ask)[2].look == 3 and len(read(ask.ledger)) == 3
    assert take(RECIPE, WINDOWS, "n", "s", None, ask.ledger)[2].look is None  # its own days were never sealed
