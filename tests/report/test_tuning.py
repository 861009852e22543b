"""The page on tuning: whatever parts the facts hold, and nothing where they hold none."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from riskml.report import charts
from riskml.report.tuning import render_tuning
from riskml.report.tuning_tables import calibration, chosen, dropped, importance, past, statement, timing
from tests.report.test_explanation import HOSTILE, checked, training

FOLDS = 3


def study(count: int = 24) -> list[dict[str, Any]]:
    """Trials of a made-up study, every fourth given up early."""
    draw = np.random.default_rng(1)
    out: list[dict[str, Any]] = []
    for number in range(count):
        folds = [round(float(v), 4) for v in 0.4 + 0.1 * draw.uniform(size=FOLDS)]
        pruned = number % 4 == 3
        trial = {"number": number, "state": "pruned" if pruned else "complete", "iterations": 40 + number}
        trial |= {"params": {"learning_rate": float(draw.uniform()), "num_leaves": int(draw.integers(4, 60))}}
        trial |= {"folds": folds[: 1 if pruned else FOLDS], "value": float(np.mean(folds)), "seconds": 0.5, "leaves": 9}
        out.append(trial)
    return out[::-1]


def told(trials: list[dict[str, Any]], **more: object) -> dict[str, Any]:
    """Training facts of that study."""
    best = max((t for t in trials if t["state"] == "complete"), key=lambda t: t["value"])
    chosen = {"number": best["number"], "value": best["value"], "folds": best["folds"], "noise": 0.012}
    params = {"learning_rate": 0.05, "num_leaves": 15, "bagging_freq": 1}
    seconds = {"bin": 0.5, "search": 11.25, "refit": 1.0}
    return (
        training() | {"best": chosen, "params": params, "model": "cd" * 32, "features": 40, "seconds": seconds} | more
    )


def words(page: str) -> str:
    return " ".join(checked(page).text.split())


def test_the_page_is_one_quiet_file_and_says_what_the_facts_say() -> None:
    """Nothing is fetched or run; the chosen trial, the reason of the end, folds and parameters are all named."""
    trials = study()
    facts = told(
        trials,
        stopped="gain",
        history={"span": None, "tried": [{"span": 86_400_000_000 * 30, "value": 0.41}, {"span": None, "value": 0.42}]},
        selection={
            "dropped": [{"feature": "day_index", "reason": "tells early from late at 0.99"}],
            "importance": [{"feature": f"f{at}", "loss": 0.1 / (at + 1)} for at in range(40)],
        },
        calibration={"kind": "beta", "slope": {"estimate": 1.02, "low": 0.8, "high": 1.2}, "losses": {"platt": 0.031}},
    )
    page = render_tuning("account-takeover", facts, trials)
    made = checked(page)
    assert len(page.encode()) < 300_000 and not re.search(r"(src|href)\s*=", page)
    assert [a.get("type") for tag, a in made.tags if tag == "script"] == ["application/json"]
    best = facts["best"]
    text = words(page)
    for said in (
        f"Trial {best['number']} was chosen: average precision {best['value']:.3f} on later days of train.",
        "standard error over the folds",
        "24 6 given up early",
        "The search ended because what further trials could be expected to gain was below the noise",
        "30d 0.410 all 0.420",
        "day_index: tells early from late at 0.99",
        "The first 25 of 40",
        "slope 1.02 (0.800 to 1.20)",
        "losses · platt 0.031",
        "1 left out",
        "11.2 88 %",
        "riskml train RECIPE --replay N",
    ):
        assert said in text, said
    held = json.loads(page.split('id="facts">')[1].split("</script>")[0])
    assert [trial["number"] for trial in held["trials"]] == list(range(24))
    assert {item["name"] for item in held["influence"]} == {"learning_rate", "num_leaves"}


def test_what_the_facts_lack_is_left_out() -> None:
    """Old facts, without any of the later parts and without trials, still give a page."""
    bare = {k: v for k, v in told(study()).items() if k not in ("seconds", "notes")} | {"best": {}, "folds": []}
    text = words(render_tuning("t", bare))
    assert "No trial was judged" in text
    for part in ("Every trial", "How much of the past", "Calibration", "Features Left out", "few labels"):
        assert part not in text


def test_a_journal_that_knows_no_states_is_read_as_complete() -> None:
    """Trials without a state were finished; few of them are drawn, and nothing is said about single parameters."""
    trials = [{k: v for k, v in t.items() if k != "state"} for t in study(5)]
    facts = told([{**t, "state": "complete"} for t in trials])
    text = words(render_tuning("t", facts, trials))
    assert "5 all to the end" in text and "Fewer than 12 trials" in text


def test_values_that_are_no_numbers_are_not_drawn() -> None:
    """A trial that stopped before its first value is left out of every picture."""
    trials = study()
    trials[3] = {**trials[3], "value": None}
    held = render_tuning("t", told(study()), trials)
    assert "23 trials" in held


def test_names_cannot_become_markup() -> None:
    """Hostile names in any part are shown as text."""
    trials = [{**t, "params": {HOSTILE: t["number"]}} for t in study()]
    parts = {"dropped": [{"feature": HOSTILE, "reason": HOSTILE}], "importance": {HOSTILE: 0.1}}
    facts = told(
        trials,
        selection=parts,
        calibration={HOSTILE: HOSTILE},
        few_labels={"sentence": HOSTILE, "systems": [{HOSTILE: HOSTILE}]},
    )
    made = checked(render_tuning(HOSTILE, facts | {"stopped": HOSTILE, "notes": [HOSTILE]}, trials))
    assert not any(tag == "b" for tag, _ in made.tags)
    assert sum(tag == "script" for tag, _ in made.tags) == 1


def test_the_bag_tells_rounds_and_parameters() -> None:
    """Where the facts hold the members of the bag, parameters and rounds are theirs; older facts say them outright."""
    bag = [{"trial": 1, "params": {"num_leaves": 7}, "rounds": rounds, "seed": 1} for rounds in (40, 1_055)]
    assert chosen({"members": bag}) == ({"num_leaves": 7}, "40 to 1,055")
    assert chosen({"params": {"a": 1}, "rounds": 55}) == ({"a": 1}, "55")


def test_the_time_of_everything_is_no_step() -> None:
    """Shares are of the whole, which may be more than its steps."""
    grid = timing({"search": 3.0, "bag": 1.0, "all": 5.0})
    assert grid is not None and [[text for text, _ in row] for row in grid.rows] == [
        ["search", "3.0", "60 %"],
        ["bag", "1.0", "20 %"],
    ]


def test_reasons_are_read_in_whatever_form_they_come() -> None:
    """A mapping of names, a list of sentences and a list of records all give names and reasons."""
    assert dropped({"dropped": {"a": "why"}}) == [("a", "why")]
    assert dropped({"dropped": ["a tells when"]}) == [("", "a tells when")]
    assert dropped({"dropped": [{"feature": "a", "drift": 0.9, "loss": 0.0}]}) == [("a", "drift 0.900; loss 0")]
    assert dropped({"cleared": [{"feature": "a", "reason": "worth it"}]}, "cleared") == [("a", "worth it")]
    assert dropped(None) == dropped({}) == []


def test_few_labels_speak_first() -> None:
    """Where labels are few and no trial was made, the page says what was compared, by which rule, and what is known."""
    few = {
        "sentence": "With 12 frauds to learn from, day-one scores lead.",
        "rule": "The tuned trees are used where they are clearly better.",
        "support": {"sentence": "Half of 12 frauds lie within the alerts.", "low": 0.2},
        "systems": [{"name": "guided", "what": "scores and labels", "average_precision": 0.41}],
        "scores": [{"name": "amount_vs_mean", "what": "amount over own mean", "weight": 0.5}],
    }
    bare = told(study()) | {"best": {}, "folds": [], "few_labels": few, "members": []}
    text = words(render_tuning("t", bare))
    assert text.count(few["sentence"]) == 2
    for said in (few["rule"], "Half of 12 frauds", "guided scores and labels 0.410", "amount over own mean 0.500"):
        assert str(said) in text, said


def test_absent_parts_are_no_section() -> None:
    """None, or a mapping without what is asked for, gives no table."""
    for make in (past, importance, calibration):
        assert make(None) is None and make({}) is None
    assert statement(None) == []
    whole = dict.fromkeys(("value", "gain", "noise"), 0.25) | {"span": None, "half_life": None, "folds": 3}
    told = past({"tried": [whole | {"chosen": True, "said": "all of the past"}]})
    assert told is not None and [text for text, _ in told.rows[0]][-1] == "all of the past; chosen"
    assert [text for text, _ in told.rows[0]][:3] == ["all", "none", "0.250"]
    grid = past({"tried": [{"span": 86_400_000_000, "folds": [0.1, 0.25], "chosen": True}]})
    assert grid is not None and [text for text, _ in grid.rows[0]] == ["1d", "0.100, 0.250", "yes"]


def test_a_pruned_trial_is_a_ring_and_never_the_best_so_far() -> None:
    """Pruned trials are hollow, stay inside the picture and do not lift the line."""
    drawn = charts.trials([0.5, 9.0, 0.6], 2, "x", pruned=[False, True, False], numbers=[0, 4, 7])
    assert drawn.count('fill="none" stroke="#33658a"') == 1 and "trial 4: 9.0000, pruned" in drawn
    line = re.search(r'<polyline points="([^"]*)"', drawn)
    assert line is not None
    heights = [float(pair.split(",")[1]) for pair in line[1].split()]
    assert heights == sorted(heights, reverse=True) and all(0 <= h <= 150 for h in heights)
    assert heights[-1] == pytest.approx(float(re.findall(r'cy="([\d.]+)" r="5.0"', drawn)[0]))


def test_a_simpler_trial_may_go_before_a_higher_one() -> None:
    """Where the chosen trial is not the highest, the page says which was and why it was passed over."""
    trials = study()
    low = min((t for t in trials if t["state"] == "complete"), key=lambda t: t["value"])
    facts = told(trials) | {"best": {**low, "noise": 0.1}}
    said = "which these folds cannot tell apart: the simpler model goes first"
    assert said in words(render_tuning("t", facts, trials))
    assert said not in words(render_tuning("t", told(trials), trials))


def test_measured_probabilities_are_drawn() -> None:
    """Groups of the calibration become a picture and not a line of numbers; folds nobody judged are a dash."""
    names = ("predicted", "observed", "low", "high", "rows", "frauds")
    bins = dict(zip(names, ([0.01], [0.02], [0.01], [0.04], [900], [18]), strict=True))
    page = render_tuning("t", told(study(), calibration={"kind": "platt", "reported": 1.0, "bins": bins}), study())
    assert "Seen share of frauds" in page and "reported" not in words(page) and "bins" not in words(page)
    grid = past({"tried": [{"span": None, "folds": [None, None]}]})
    assert grid is not None and [text for text, _ in grid.rows[0]] == ["all", "–"]


def test_dots_share_one_scale() -> None:
    """Equal values of different rows stand at the same place."""
    drawn = charts.dots([("a", [0.1, 0.3], True), ("b", [0.3, 0.5], False), ("c", [], False)], "x")
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    assert places[1] == places[2] and places[0] < places[1] < places[3]
    assert charts.dots([], "x") == ""
