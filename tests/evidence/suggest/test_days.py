"""What counts, and what is known of it: stopped, bypassed, labelled by the rule, young."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from riskml.evidence.rule import incumbent
from riskml.evidence.suggest import Ask, suggest
from riskml.evidence.suggest.days import read_days
from riskml.recipe.spec import DAY, ROUTES, Rule
from tests.evidence.suggest.planted import DAYS, START, frame_of, world

END = START + DAYS * DAY


def test_the_parts_meet_and_hold_every_event_once() -> None:
    """Earlier and later days meet at the cut; each event stands in one of them, oldest first."""
    given = world()
    days = read_days(*given.given(), as_of=END, since=None, share=0.7)
    time = given.tables.events.time
    assert days.earlier.end == days.later.start == time.min() + round((END - int(time.min())) * 0.7)
    rows = np.r_[days.earlier.rows, days.later.rows]
    assert sorted(rows.tolist()) == list(range(len(time))) and (np.diff(time[rows]) >= 0).all()
    assert days.later.young == pytest.approx((time[days.later.rows] > END - 7 * DAY).mean())
    assert days.earlier.young == 0


def test_what_the_rule_stopped_is_unknown_until_labelled() -> None:
    """Silence of a stopped event says nothing; a claim or an analyst's word does; the rule's own word does not."""
    frame = frame_of(6_000, 0)
    given = world(frame=frame)
    recipe = replace(given.recipe, rule=Rule("fired", enforced=True))
    rule = incumbent(recipe, given.tables)
    fraud, fired = frame["fraud"].to_numpy() == 1, frame["fired"].to_numpy()
    days = read_days(recipe, given.tables, given.log, rule, as_of=END, since=None, share=0.6)
    known = np.zeros(len(frame), bool)
    known[given.log.row[given.log.known_at < END]] = True
    for part in (days.earlier, days.later):
        said = np.where(known, 1, np.where(fired, -1, 0))[part.rows]
        assert part.fraud.tolist() == said.tolist() and part.stopped == fired[part.rows].sum()
        assert part.claimed.tolist() == (known & fraud)[part.rows].tolist()
    by_rule = np.where(fired[given.log.row], ROUTES.index("rule"), ROUTES.index("alert")).astype(np.int8)
    days = read_days(recipe, given.tables, replace(given.log, route=by_rule), rule, as_of=END, since=None, share=0.6)
    for part in (days.earlier, days.later):
        said = np.where(known & ~fired, 1, np.where(fired, -1, 0))[part.rows]
        assert part.fraud.tolist() == said.tolist() and not part.claimed.any()


def test_a_rule_that_stops_is_spoken_of() -> None:
    """A note says that recall is of the frauds that got through; unknown alerts are counted apart."""
    given = world()
    recipe = replace(given.recipe, rule=Rule("fired", enforced=True))
    log = replace(given.log, route=np.full(len(given.log.row), ROUTES.index("rule"), np.int8))
    mixed = np.where(given.tables.events.frame["fired"].to_numpy()[log.row], log.route, np.int8(0)).astype(np.int8)
    rule = incumbent(recipe, given.tables)
    found = suggest(recipe, given.tables, replace(log, route=mixed), rule, ask=Ask(per_day=8.0))
    assert any("frauds that got through" in note for note in found.notes)
    fired = found.later.fired
    for one in found.candidates:
        assert one.shown.unknown <= round((one.shown.rule_fired or 0.0) * one.shown.alerts) <= fired.sum()
        assert one.shown.precision.out_of == one.shown.alerts - one.shown.unknown


def test_events_of_other_controls_count_for_nobody() -> None:
    """Allow-listed events are in neither part."""
    frame = frame_of(6_000, 0)
    frame["listed"] = np.arange(len(frame)) % 5 == 0
    given = world(frame=frame)
    recipe = replace(given.recipe, rule=Rule("fired", enforced=False, bypass="listed"))
    days = read_days(recipe, given.tables, given.log, incumbent(recipe, given.tables), as_of=END, since=None, share=0.6)
    rows = np.r_[days.earlier.rows, days.later.rows]
    assert not frame["listed"].to_numpy()[rows].any() and len(rows) == (~frame["listed"]).sum()


def test_silence_may_mean_nothing() -> None:
    """With absent = "unknown" an event without a label is neither fraud nor good."""
    given = world()
    log = replace(given.log, absent_good=False)
    days = read_days(given.recipe, given.tables, log, None, as_of=END, since=None, share=0.6)
    assert set(days.earlier.fraud.tolist()) == {1, -1}
