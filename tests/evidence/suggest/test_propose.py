"""Candidates: the planted rule is found, as written, on earlier days alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from riskml.errors import DataError, UsageError
from riskml.evidence.rule import incumbent
from riskml.evidence.suggest import Ask, suggest
from riskml.evidence.suggest.search import PRICE
from riskml.evidence.suggest.terms import allowed_columns, operands
from riskml.expression import parse
from riskml.recipe.spec import DAY, Train
from tests.evidence.suggest.planted import DAYS, START, frame_of, world


def test_the_planted_rule_is_found() -> None:
    """Large amounts from new or unknown devices, not by the app, come first as they were planted, round and whole."""
    found = suggest(*world().given(), ask=Ask(per_day=8.0))
    best = found.candidates[0]
    assert best.when == "amount >= 2000 and (device_age < 7d or device_age is null) and channel in ('api', 'web')"
    assert best.shown.precision.low > 0.6 and best.shown.value_recall.estimate > 0.7
    assert best.found.alerts_per_day <= 8.0


def test_few_frauds_make_short_rules() -> None:
    """Below ninety known frauds no rule has a third condition, and a note says so."""
    frame = frame_of(6_000, 0)
    frame.loc[np.flatnonzero(frame["fraud"] == 1)[::2], "fraud"] = 0
    found = suggest(*world(frame=frame).given(), ask=Ask(per_day=8.0))
    assert 10 <= found.to_dict()["earlier"]["frauds"] < 90  # type: ignore[index]
    assert all(one.when.count(" and ") <= 1 for one in found.candidates)
    assert found.candidates and any("more than 2 conditions" in note for note in found.notes)


def test_a_tight_budget_gives_a_tighter_rule() -> None:
    """No candidate raises more alerts on the earlier days than the budget allows."""
    for per_day in (1.0, 3.0):
        found = suggest(*world().given(), ask=Ask(per_day=per_day))
        assert found.candidates and found.source == "asked"
        assert all(one.found.alerts <= per_day * found.earlier.days for one in found.candidates)


def test_what_is_shown_is_what_the_text_says() -> None:
    """Each candidate's text parses, reads allowed columns alone and flags as many later events as were counted."""
    given = world()
    found = suggest(*given.given(), ask=Ask(per_day=8.0, most=10))
    columns = operands(given.recipe, given.tables, None)
    for one in found.candidates:
        rule = parse(one.when)
        assert set(rule.columns) <= set(allowed_columns(given.recipe, given.tables))
        for part, said in ((found.earlier, one.found), (found.later, one.shown)):
            flagged = rule.truth({name: columns[name][part.rows] for name in rule.columns})
            bad = part.fraud == 1
            assert said.alerts == int(flagged.sum())
            assert said.precision.estimate == pytest.approx(bad[flagged].mean())
            assert said.recall.estimate == pytest.approx(flagged[bad].mean())
            row = {name: columns[name][part.rows[0]] for name in rule.columns}
            row = {name: None if value != value else value for name, value in row.items()}
            assert bool(rule.evaluate_row(row)) == bool(flagged[0])


def test_null_rows_are_those_of_the_rule_as_written() -> None:
    """A rule that forgets nulls shows them with the frauds that slip through; one that names them shows none."""
    given = world()
    found = suggest(*given.given(), ask=Ask(per_day=8.0, most=20))
    for one in found.candidates:
        values = parse(one.when).evaluate(
            {name: v[found.later.rows] for name, v in operands(given.recipe, given.tables, None).items()}
        )
        assert one.shown.null_rows == int(np.isnan(values).sum())
    assert any(one.shown.null_rows == 0 for one in found.candidates)


def test_later_days_decide_nothing() -> None:
    """Later labels, values and words may change; candidates, their order and what they did earlier stay."""
    given = world()
    first = suggest(*given.given(), ask=Ask(per_day=8.0))
    cut = first.earlier.end
    frame = given.tables.events.frame.copy()
    late = (given.tables.events.time >= cut) & (np.arange(len(frame)) % 2 == 0)
    frame.loc[late, "amount"] *= 100
    frame.loc[late, "channel"] = "new"
    frame.loc[given.tables.events.time >= cut, "fraud"] ^= 1
    again = suggest(*world(frame=frame).given(), ask=Ask(per_day=8.0))
    assert [one.when for one in again.candidates] == [one.when for one in first.candidates]
    assert [one.found for one in again.candidates] == [one.found for one in first.candidates]
    assert [one.shown for one in again.candidates] != [one.shown for one in first.candidates]


def test_labels_unknown_at_the_time_are_not_read() -> None:
    """What becomes known from ``as_of`` on changes nothing at all."""
    given = world()
    as_of = START + 30 * DAY
    first = suggest(*given.given(), ask=Ask(as_of=as_of, per_day=8.0))
    log = given.log
    later = log.known_at >= as_of
    assert later.any()
    cut = replace(log, **{name: getattr(log, name)[~later] for name in ("row", "fraud", "known_at", "route", "source")})
    again = suggest(given.recipe, given.tables, cut, None, ask=Ask(as_of=as_of, per_day=8.0))
    assert again.to_dict() == first.to_dict()
    assert first.later.end == as_of and 0 < first.later.young < 1


def test_the_same_seed_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goods are sampled by the seed alone, and a sample does not change what is counted."""
    whole = suggest(*world().given(), ask=Ask(per_day=8.0))
    monkeypatch.setattr("riskml.evidence.suggest.search.MOST_GOODS", 1_500)
    first, again = (suggest(*world().given(), ask=Ask(per_day=8.0, seed=3)) for _ in range(2))
    assert first.to_dict() == again.to_dict()
    shared = {one.when: one.shown for one in whole.candidates}
    assert any(one.when in shared and one.shown == shared[one.when] for one in first.candidates)


def test_forbidden_columns_are_never_offered() -> None:
    """Ids, entities, personal data, the label and the rule's own word are no terms, even where they are inputs."""
    given = world(inputs=("amount", "id", "user", "fired", "channel", "note", "at"), pii=("note",))
    assert allowed_columns(given.recipe, given.tables) == ("amount", "channel", "at")
    found = suggest(*given.given(), ask=Ask(per_day=8.0, most=20))
    assert {name for one in found.candidates for name in parse(one.when).columns} <= {"amount", "channel"}


def test_the_incumbent_is_shown_beside() -> None:
    """Overlap counts both ways, and what a candidate adds beyond the rule counts alone."""
    given = world()
    rule = incumbent(given.recipe, given.tables)
    found = suggest(given.recipe, given.tables, given.log, rule, ask=Ask())
    assert found.source == "rule"
    assert found.per_day == pytest.approx(found.earlier.fired.sum() / found.earlier.days, rel=0.1)
    columns = operands(given.recipe, given.tables, None)
    for one in found.candidates:
        flagged = parse(one.when).truth({name: v[found.later.rows] for name, v in columns.items()})
        fired = found.later.fired
        assert one.shown.rule_fired == pytest.approx(fired[flagged].mean())
        assert one.shown.of_rule == pytest.approx(flagged[fired].mean())
        assert one.shown.beyond_rule == int((flagged & ~fired).sum())


def test_candidates_differ() -> None:
    """No candidate flags nearly the same earlier events as a better one; better is more value less dear alerts."""
    given = world()
    found = suggest(*given.given(), ask=Ask(per_day=8.0, most=10))
    columns = operands(given.recipe, given.tables, None)
    flags = [
        parse(one.when).truth({name: v[found.earlier.rows] for name, v in columns.items()}) for one in found.candidates
    ]
    for at, mine in enumerate(flags):
        assert all((mine & other).sum() < 0.7 * (mine | other).sum() for other in flags[:at])
    everything = float(found.earlier.value[found.earlier.fraud == 1].sum())
    worth = [one.found.value - PRICE * everything * one.found.alerts_per_day / 8.0 for one in found.candidates]
    assert worth == sorted(worth, reverse=True)


def test_budget_comes_from_recipe_or_frauds() -> None:
    """The recipe's alerts a day come first; without them and without a rule, three alerts a known fraud."""
    given = world()
    mine = replace(given.recipe, train=Train(alerts_per_day=2.5))
    assert suggest(mine, given.tables, given.log, None).per_day == 2.5
    found = suggest(*given.given())
    assert found.source == "frauds"
    assert found.per_day == pytest.approx(3 * (found.earlier.fraud == 1).sum() / found.earlier.days)


def test_too_few_frauds_are_refused_with_what_would_help() -> None:
    """Below ten known frauds nothing is proposed; the error counts them and says what to do."""
    frame = frame_of(2_000, 1)
    bad = np.flatnonzero(frame["fraud"] == 1)
    frame.loc[bad[5:], "fraud"] = 0
    with pytest.raises(DataError, match=r"too few to find a rule on: 5 known frauds of \d customers") as caught:
        suggest(*world(frame=frame).given())
    assert "--as-of" in caught.value.hint and "confirm suspects" in caught.value.hint


def test_frauds_of_one_customer_are_one() -> None:
    """Many frauds of a single customer teach nothing about others."""
    frame = frame_of(4_000, 1)
    frame.loc[frame["fraud"] == 1, "user"] = "u0"
    with pytest.raises(DataError, match="of 1 customers"):
        suggest(*world(frame=frame).given())


@pytest.mark.parametrize("as_of", [START - DAY, START + (DAYS + 1) * DAY])
def test_days_outside_the_data_are_refused(as_of: int) -> None:
    """As of a time before the first event or after the last word nothing can be said."""
    with pytest.raises(UsageError, match="outside the data"):
        suggest(*world().given(), ask=Ask(as_of=as_of))


def test_noise_gives_no_rule() -> None:
    """Where fraud is random, a candidate's later precision is no better than luck and the interval says so."""
    frame = frame_of(6_000, 2)
    frame["fraud"] = (np.random.default_rng(9).random(len(frame)) < 0.02).astype(np.int64)
    found = suggest(*world(frame=frame).given(), ask=Ask(per_day=8.0))
    base = float((found.later.fraud == 1).mean())
    assert all(one.shown.precision.low <= 2 * base for one in found.candidates)
