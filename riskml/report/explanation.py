"""The page on what the model looks at.

In go the facts of ``explain`` and, where there are any, of ``train`` and its trials; out comes one HTML file. It
computes nothing of its own: it chooses, orders and words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskml.report.page import finite, number, percent, render
from riskml.report.tuning_tables import chosen

LEAST = 10  # events behind every point, as in riskml.evidence.dependence
CALIBRATION = (
    ("slope", "slope (1 is perfect)"),
    ("intercept", "intercept (0 is perfect)"),
    ("frauds_over_expected", "frauds for each expected one"),
    ("brier", "Brier score"),
    ("log_loss", "log loss"),
    ("calibration_error", "calibration error"),
)


def render_explanation(
    threat: str,
    explanation: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    trials: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The explanation as HTML.

    Args:
        threat: name of the threat.
        explanation: ``Explanation.to_dict()``.
        training: ``Facts.to_dict()`` of the training.
        trials: the finished trials as dicts, in any order.
    """
    ordered = sorted((trial for trial in trials if finite(trial["value"])), key=lambda trial: int(trial["number"]))
    best = training["best"].get("number") if training else None
    facts: dict[str, object] = {
        "threat": threat,
        "explanation": dict(explanation),
        "training": training and dict(training),
    }
    facts["trials"] = [{"number": trial["number"], "value": trial["value"]} for trial in ordered]
    return render(
        "explanation.html",
        facts,
        sentence=_sentence(explanation["families"]),
        figures=_figures(explanation, training),
        notes=list(training["notes"]) if training else [],
        family_bars=[(f["family"], f["mean"], f["alerted"]) for f in explanation["families"]],
        feature_bars=[(f["feature"], f["mean"], f["alerted"]) for f in explanation["importance"][:20]],
        trial_values=[float(trial["value"]) for trial in ordered],
        trial_pruned=[str(trial.get("state", "complete")) == "pruned" for trial in ordered],
        trial_numbers=[int(trial["number"]) for trial in ordered],
        trial_best=next((at for at, trial in enumerate(ordered) if trial["number"] == best), -1),
        windows=_windows(training),
        calibration=_calibration(training),
        fold_values=_fold_values(training),
        parameters=chosen(training) if training else ({}, ""),
        least=LEAST,
    )


def _sentence(families: Sequence[Mapping[str, Any]]) -> str:
    """The families that carry most of the score, in one sentence."""
    if not families:
        return "The model uses none of its features: every event gets the same score."
    top = families[:3]
    share = sum(float(item["share"]) for item in top)
    names = [str(item["family"]) for item in top]
    count = {1: "one family", 2: "two families", 3: "three families"}[len(names)]
    return f"{share:.0%} of the score comes from {count} of features: {'; '.join(names)}."


def _figures(explanation: Mapping[str, Any], training: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Name, value and small print of the figures at the top."""
    used, total = len(explanation["importance"]), len(explanation["importance"]) + len(explanation["unused"])
    out = [("features in use", number(used), f"of {number(total)}")]
    if training is None:
        return out
    words = {"rule": "as many as the rule", "recipe": "set by the recipe", "frauds": "as many as frauds"}
    out.append(("alerts a day", number(training["alerts_per_day"]), words[training["alerts_from"]]))
    measured = training["calibrate"]
    out.append(("frauds caught", percent(measured["recall_at_threshold"], 0), "calibrate window"))
    out.append(("average precision", number(measured["average_precision"]), "calibrate window"))
    out.append(
        ("trained on", number(training["frauds"]["train"]), f"frauds in {number(training['rows']['train'])} events")
    )
    return out


def _calibration(training: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The sentence, the figures with their intervals and the picture's bins; None where nothing was measured.

    Reads ``riskml.learning.reliability.calibration_facts``; too few frauds leave the sentence alone.
    """
    facts = (training or {}).get("calibration")
    if not facts:
        return None
    rows = [(words, *_bounds(facts[name])) for name, words in CALIBRATION if name in facts]
    return {"sentence": f"{facts['sentence'][:1].upper()}{facts['sentence'][1:]}.", "rows": rows, "facts": facts}


def _bounds(figure: Mapping[str, Any]) -> tuple[str, str]:
    """A figure and its interval as words."""
    known = figure["low"] is not None and figure["high"] is not None
    return number(figure["value"]), f"{number(figure['low'])} to {number(figure['high'])}" if known else "–"


def _fold_values(training: Mapping[str, Any] | None) -> list[float | None]:
    """Value of the chosen trial on each fold; nothing where none was chosen."""
    if training is None:
        return []
    values = list(training["best"].get("folds", ()))
    return [*values, *[None] * (len(training["folds"]) - len(values))]


def _windows(training: Mapping[str, Any] | None) -> list[tuple[str, str, str]]:
    """Name, start and end of each window."""
    if training is None:
        return []
    bounds = training["windows"]
    return [(name, bounds[f"{name}_start"], bounds[f"{name}_end"]) for name in ("train", "calibrate", "test")]
