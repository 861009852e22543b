"""The page on what the model looks at, and the bricks every page is built of."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError

from riskml.evidence.dependence import dependence, spread
from riskml.report import charts
from riskml.report.explanation import render_explanation
from riskml.report.page import day, embed, money, number, percent, render

HOSTILE = "</script><script>alert(1)</script><b>&\"'"


def facts(features: int = 30) -> dict[str, Any]:
    """Explanation facts of a made-up model."""
    draw = np.random.default_rng(0)
    names = [f"user_device_events_count_{at}d" for at in range(features)]
    x, parts = draw.normal(size=500).astype(np.float32), draw.normal(size=500)
    x[:40] = np.nan
    from dataclasses import asdict

    return json.loads(
        json.dumps(
            {
                "schema": "riskml.explanation/1",
                "model": "ab" * 32,
                "base": -4.2,
                "rows": 4_000,
                "alerted_rows": 60,
                "importance": [
                    {"feature": n, "family": "events by user", "mean": 1 / (at + 1), "share": 0.01, "alerted": 0.5}
                    for at, n in enumerate(names)
                ],
                "families": [
                    {"family": "events by user", "features": 20, "mean": 0.9, "share": 0.6, "alerted": 1.2},
                    {"family": "logins by device", "features": 10, "mean": 0.4, "share": 0.3, "alerted": 0.2},
                ],
                "unused": ["flat"],
                "spread": [asdict(spread(n, x, parts)) for n in names[:12]],
                "dependence": [asdict(dependence(n, x, parts, None)) for n in names[:12]],
                "largest_error": 0.0,
            }
        )
    )


def training() -> dict[str, Any]:
    """Training facts as ``train`` writes them."""
    bounds = ("train", "calibrate", "test")
    return {
        "schema": "riskml.train/1",
        "objective": "average_precision",
        "windows": {f"{n}_{e}": "2026-10-05T09:00:00Z" for n in bounds for e in ("start", "end")},
        "rows": {"train": 27_000, "calibrate": 10_000, "test": 21_000},
        "frauds": {"train": 60, "calibrate": 30},
        "folds": [
            {
                "valid_start": "2026-09-01T00:00:00Z",
                "valid_end": "2026-09-08T00:00:00Z",
                "gap_days": 14.0,
                "train_rows": 9_000,
                "train_frauds": 20,
                "valid_rows": 4_000,
                "valid_frauds": 9,
            }
        ],
        "best": {"number": 1, "value": 0.4, "folds": [0.4], "noise": None},
        "params": {"num_leaves": 15, "learning_rate": 0.05},
        "rounds": 55,
        "bag": 1,
        "calibrate": {"average_precision": 0.31, "recall_at_threshold": 0.4},
        "alerts_per_day": 12.5,
        "alerts_from": "rule",
        "notes": ["a note worth reading"],
    }


TRIALS = [{"number": 1, "value": 0.4}, {"number": 0, "value": 0.3}]


class Checker(HTMLParser):
    """Collects tags, checks nesting, keeps the text outside scripts and styles."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.stack or self.stack[-1] not in ("script", "style"):
            self.text += data


def checked(page: str) -> Checker:
    made = Checker()
    made.feed(page)
    made.close()
    assert not made.stack
    return made


def test_the_page_is_one_quiet_file() -> None:
    """Well nested, under 300 kB, nothing fetched, no script to run, every picture named."""
    page = render_explanation("account-takeover", facts(100), training(), TRIALS)
    assert len(page.encode()) < 300_000
    made = checked(page)
    assert not re.search(r"(src|href)\s*=", page)
    assert "url(" not in page and "@import" not in page
    assert [a.get("type") for tag, a in made.tags if tag == "script"] == ["application/json"]
    pictures = [a for tag, a in made.tags if tag == "svg"]
    assert len(pictures) == 2 + 1 + 12 + 1
    assert all(a.get("aria-label") and a.get("role") == "img" for a in pictures)


def test_the_page_says_what_the_facts_say() -> None:
    """Headline, figures, notes and tables carry the facts' own numbers, without style or script."""
    text = " ".join(checked(render_explanation("account-takeover", facts(), training(), TRIALS)).text.split())
    for words in (
        "90% of the score comes from two families of features: events by user; logins by device.",
        "a note worth reading",
        "30 of 31",
        "12.5 as many as the rule",
        "40 % calibrate window",
        "60 frauds in 27,000 events",
        "Never used: flat.",
        "5 Oct 2026",
        "4,000 events drawn at random",
    ):
        assert words in text, words


def test_calibration_has_its_own_section() -> None:
    """Figures of the calibration stand with their intervals and are drawn to scale; few frauds leave a sentence."""
    bins = {"predicted": [0.01, 0.1], "observed": [0.0, 0.2], "low": [0.0, 0.1], "high": [0.02, 0.5]}
    bins |= {"rows": [900.0, 90.0], "frauds": [0.0, 18.0]}
    names = ("slope", "intercept", "frauds_over_expected", "brier", "log_loss", "calibration_error")
    measured = {name: {"value": 0.97, "low": 0.71, "high": 1.25} for name in names}
    told = measured | {"kind": "beta", "sentence": "calibrated <within>", "perfect_error": 0.0012, "bins": bins}
    told |= {"perfect_error_high": 0.0034, "log_loss_of_base_rate": 0.05}
    told["intercept"] = {"value": None, "low": None, "high": None}
    page = render_explanation("t", facts(3), training() | {"calibration": told})
    text = " ".join(checked(page).text.split())
    for words in (
        "Calibrated <within>.",
        "slope (1 is perfect)0.9700.710 to 1.25",
        "intercept (0 is perfect)––",
        "0.0034",
    ):
        assert words in text, words
    drawn = charts.reliability(bins, "x")
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', drawn)]
    assert dots[1][0] - dots[0][0] == pytest.approx(348 / 2) and dots[0][1] > dots[1][1]
    assert "predicted 0.1, seen 0.2 (0.1 to 0.5): 18 frauds in 90 events" in drawn
    few = render_explanation("t", facts(3), training() | {"calibration": {"sentence": "9 frauds are too few"}})
    assert "9 frauds are too few." in checked(few).text and "Seen share" not in few
    assert charts.reliability({name: [] for name in bins}, "x") == ""


def test_the_facts_are_inside_as_json() -> None:
    """The embedded JSON reads back as the facts."""
    page = render_explanation("t", facts(), training(), TRIALS)
    held = json.loads(page.split('id="facts">')[1].split("</script>")[0])
    assert held["explanation"] == facts()
    assert [trial["number"] for trial in held["trials"]] == [0, 1]


def test_a_page_without_training_or_contributions() -> None:
    """A model that uses nothing, and no training facts, still give a sound page."""
    bare = facts(0) | {"families": [], "spread": [], "dependence": [], "unused": ["a", "b"]}
    page = render_explanation("t", bare)
    assert "uses none of its features" in checked(page).text


def test_names_cannot_become_markup() -> None:
    """A hostile threat, feature, family or category is shown as text everywhere, embedded JSON included."""
    evil = copy.deepcopy(facts(3))
    for item in evil["importance"]:
        item["feature"] = item["family"] = HOSTILE
    evil["families"][0]["family"] = HOSTILE
    evil["dependence"][0]["feature"] = evil["spread"][0]["feature"] = HOSTILE
    evil["dependence"][0]["kind"] = "category"
    for bar in evil["dependence"][0]["bins"]:
        bar["label"] = HOSTILE
    page = render_explanation(HOSTILE, evil, {**training(), "notes": [HOSTILE]})
    made = checked(page)
    assert "alert(1)" in made.text
    assert not any(tag == "b" for tag, _ in made.tags)
    assert sum(tag == "script" for tag, _ in made.tags) == 1
    assert json.loads(page.split('id="facts">')[1].split("</script>")[0])["threat"] == HOSTILE


def test_a_fact_that_is_missing_is_an_error() -> None:
    """A template never shows a blank for a fact that is not there."""
    with pytest.raises(UndefinedError):
        render("explanation.html", {"threat": "t"})
    with pytest.raises(ValueError, match="JSON"):
        embed({"x": float("nan")})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12345, "12,345"),
        (-3, "−3"),
        (0.01234, "0.0123"),
        (1234.5, "1,234"),
        (2.0, "2"),
        (None, "–"),
        (float("inf"), "–"),
        (1e-9, "1.00e−09"),
    ],
)
def test_numbers_read_well(value: object, words: str) -> None:
    """Whole numbers in full, others to three significant digits, nothing as a dash."""
    assert number(value) == words


def test_other_words() -> None:
    """Shares, money and days are worded one way everywhere."""
    assert (percent(0.1234), percent(None), money(1234.6), money(float("nan"))) == ("12.3 %", "–", "1,235", "–")
    assert (day("2026-10-05T09:00:00Z"), day("soon")) == ("5 Oct 2026", "soon")


@pytest.mark.parametrize("bounds", [(-0.2, 1.1), (0.0, 1e-7), (-3e6, 5e6), (0.5, 0.5)])
def test_ticks_are_round_and_inside(bounds: tuple[float, float]) -> None:
    """Ticks lie inside the axis, evenly, few enough to read."""
    found = charts.ticks(*bounds)
    assert 1 <= len(found) <= 8
    assert all(bounds[0] - 1e-9 <= tick <= bounds[1] + 1e-9 for tick in found)
    assert np.ptp(np.diff(found)) < 1e-6 * (abs(bounds[1] - bounds[0]) + 1) if len(found) > 2 else True


def test_bars_are_drawn_to_scale() -> None:
    """Widths of bars are in proportion to their values, both kinds on one scale."""
    drawn = charts.bars([("a", 2.0, 1.0), ("b", 0.5, None)], "x")
    widths = [float(w) for w in re.findall(r'<rect[^>]* width="([\d.]+)"', drawn)]
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.01)
    assert widths[2] / widths[0] == pytest.approx(0.25, abs=0.01)
