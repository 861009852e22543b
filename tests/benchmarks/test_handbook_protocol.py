"""The Handbook's protocol: who is in a test week, what is measured on it, and the book's numbers on its own data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pytest

from benchmarks import handbook
from benchmarks.handbook import CHAPTER_3_FACTS, FINAL, METRICS, PREQUENTIAL, PUBLISHED, VALIDATION, Cards
from tests.handbook import HANDBOOK, needs_handbook


def small_world(seed: int, cards: int = 60, days: int = 60, rows: int = 4_000) -> Cards:
    """Random transactions in order of time, with frauds on a few cards."""
    rng = np.random.default_rng(seed)
    card = rng.integers(0, cards, rows)
    fraud = (rng.random(rows) < np.where(card % 5 == 0, 0.08, 0.004)).astype(np.int64)
    return Cards(np.sort(rng.integers(0, days, rows)), card, fraud)


def slow_split(cards: Cards, start: int, history: bool) -> tuple[list[int], list[int]]:
    """The book's rule, row by row: ``start`` is the first test day."""
    rows = list(zip(cards.day, cards.card, cards.fraud, strict=True))
    train, test = [], []
    for at, (day, card, _) in enumerate(rows):
        if (history or day >= start - 14) and day < start - 7:
            train.append(at)
        if start <= day < start + 7:
            known = any(c == card and f == 1 and start - 14 <= d <= day - 8 for d, c, f in rows)
            if not known:
                test.append(at)
    return train, test


def slow_measures(cards: Cards, rows: np.ndarray, score: np.ndarray) -> tuple[float, float, float]:
    """AUC by pairs, average precision by walking down the ranking, Card Precision day by day."""
    fraud = cards.fraud[rows]
    bad, good = score[fraud == 1], score[fraud == 0]
    pairs = float(np.mean([(b > g) + 0.5 * (b == g) for b in bad for g in good]))
    ranked = fraud[np.argsort(-score, kind="stable")]
    hits = [ranked[: at + 1].mean() for at in range(len(ranked)) if ranked[at]]
    found: set[int] = set()
    daily = []
    for day in sorted(set(cards.day[rows])):
        best: dict[int, tuple[float, int]] = {}
        for at, row in enumerate(rows):
            card = int(cards.card[row])
            if cards.day[row] == day and card not in found:
                top, any_bad = best.get(card, (-np.inf, 0))
                best[card] = (max(top, float(score[at])), max(any_bad, int(fraud[at])))
        alerted = sorted(best, key=lambda c: -best[c][0])[: handbook.TOP]
        caught = {card for card in alerted if best[card][1]}
        daily.append(len(caught) / handbook.TOP)
        found |= caught
    return pairs, float(np.mean(hits)), float(np.mean(daily))


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_split_is_the_books(seed: int, history: bool) -> None:
    """Training rows and test rows are those of the book's rule applied row by row."""
    cards = small_world(seed)
    train, test = handbook.split(cards, date(2018, 4, 1 + 20), history)
    expected = slow_split(cards, 20, history)
    assert (train.tolist(), test.tolist()) == expected
    assert len(test) < np.sum((cards.day >= 20) & (cards.day < 27))


def test_history_leaves_the_test_rows_alone() -> None:
    """Both settings are judged on the same transactions."""
    cards = small_world(9)
    week, history = (handbook.split(cards, date(2018, 5, 1), wish) for wish in (False, True))
    assert np.array_equal(week[1], history[1])
    assert set(week[0]) < set(history[0])
    assert week[0].max() == history[0].max()


@pytest.mark.parametrize("seed", range(3))
def test_measures_against_a_slow_oracle(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three published metrics equal their definitions, written out."""
    monkeypatch.setattr(handbook, "TOP", 10)
    cards = small_world(seed)
    _, rows = handbook.split(cards, date(2018, 5, 1))
    # No ties, because the oracle walks down one row at a time.
    score = np.random.default_rng(seed).permutation(len(rows)) + 300.5 * cards.fraud[rows]
    assert handbook.measure(cards, rows, score) == pytest.approx(slow_measures(cards, rows, score), abs=1e-12)


def test_choices_end_before_published_training_begins() -> None:
    """No validation week reaches 2018-07-25, and no week is both chosen on and reported as unseen."""
    assert max(VALIDATION).toordinal() + 7 <= date(2018, 7, 25).toordinal()
    assert not set(VALIDATION) & set(PREQUENTIAL) and not set(FINAL) & {*PREQUENTIAL, *VALIDATION}


def test_ratio_is_over_the_best_published_row() -> None:
    """A figure equal to the best published one has ratio 1, whichever model that was."""
    best: Mapping[str, tuple[float, ...]] = {
        part: tuple(max(row[at] for row in rows.values()) for at in range(3)) for part, rows in PUBLISHED.items()
    }
    found = handbook.ratios({part: {"week": row} for part, row in best.items()})
    assert found == {f"{part}, week, {metric}": 1.0 for part in PUBLISHED for metric in METRICS}


@needs_handbook
def test_chapter_3_has_the_books_size() -> None:
    """On the book's data: 67,240 training rows, 58,264 test rows, 385 test frauds and a ceiling of 0.397."""
    import pandas as pd

    frame = pd.read_parquet(HANDBOOK, columns=["TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD"])
    cards = Cards(*(frame[name].to_numpy(np.int64) for name in frame))
    assert handbook.chapter_3_facts(cards) == CHAPTER_3_FACTS
