"""The page on how a model was tuned: the search, the past it was given, the features left out, the calibration.

In go the facts of ``train`` and its trials as they lie in the run folder; out comes one HTML file that shows whatever
parts the facts hold and leaves out what they lack. It computes nothing but ranks and shares of the trials' own figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from riskml.learning.influence import LEAST, Influence, influence
from riskml.report.grid import Grid, plain
from riskml.report.page import finite, number, render
from riskml.report.tuning_tables import (
    calibration,
    chosen,
    dropped,
    few_tables,
    importance,
    past,
    points,
    spent,
    statement,
    timing,
)

Facts = Mapping[str, Any]

SHOWN = 8  # trials whose folds are drawn
LISTED = 200  # trials in the table; the facts inside the page hold all
STOPPED = {
    "trials": "every trial that was asked for was done",
    "seconds": "the time budget was spent",
    "gain": "what further trials could be expected to gain was below the noise between folds",
    "interrupted": "it was interrupted",
}


def render_tuning(threat: str, training: Facts, trials: Sequence[Facts] = ()) -> str:
    """The page as HTML.

    Args:
        threat: name of the threat.
        training: ``Facts.to_dict()`` of the training.
        trials: the trials of the study as dicts, in any order; those without a finite value are left out.
    """
    ordered = sorted((trial for trial in trials if finite(trial.get("value"))), key=lambda trial: int(trial["number"]))
    pruned = [is_pruned(trial) for trial in ordered]
    values = [float(trial["value"]) for trial in ordered]
    found = influence([trial["params"] for trial in ordered], values, pruned)
    facts: dict[str, object] = {"threat": threat, "training": dict(training)}
    facts["trials"] = [{key: value for key, value in trial.items() if key != "legs"} for trial in ordered]
    facts["influence"] = [asdict(item) for item in found]
    complete = [trial for trial, gone in zip(ordered, pruned, strict=True) if not gone]
    return render(
        "tuning.html",
        facts,
        sentence=_sentence(training, complete),
        figures=_figures(training, ordered, complete),
        notes=list(training.get("notes", ())),
        values=values,
        stopped=why_stopped(training),
        pruned=pruned,
        numbers=[int(trial["number"]) for trial in ordered],
        best=position(ordered, training),
        spread=_spread(training, complete),
        bars=[(_words(item.name), item.share, None) for item in found],
        least=LEAST,
        parameters=_parameters(training, found),
        past=past(training.get("history")),
        dropped=dropped(training.get("selection")),
        importance=importance(training.get("selection")),
        calibration=calibration(training.get("calibration")),
        cleared=dropped(training.get("selection"), "cleared"),
        points=points(training.get("calibration")),
        few=statement(training.get("few_labels")),
        few_grids=few_tables(training.get("few_labels")),
        timing=timing(training.get("seconds")),
        listed=_listed(ordered, training),
    )


def is_pruned(trial: Facts) -> bool:
    """Whether a trial was given up before its last fold; journals that do not say hold complete ones alone."""
    return str(trial.get("state", "complete")) == "pruned"


def position(ordered: Sequence[Facts], training: Facts) -> int:
    """Where the chosen trial stands among the ordered ones; -1 if it is not there."""
    best = training.get("best", {}).get("number")
    return next((at for at, trial in enumerate(ordered) if trial["number"] == best), -1)


def _sentence(training: Facts, complete: Sequence[Facts]) -> str:
    """What the search came to."""
    best = training.get("best", {})
    few = training.get("few_labels") or {}
    if not complete and few.get("sentence"):
        return str(few["sentence"])
    if not complete or not finite(best.get("value")):
        return "No trial was judged: the first parameters were taken as they are."
    what = _words(str(training["objective"]))
    out = f"Trial {best['number']} was chosen: {what} {best['value']:.3f} on later days of train."
    first = next((trial for trial in complete if trial["number"] == 0), None)
    if first is not None and best["number"] != 0:
        gain, noise = _gain(best, first)
        known = "" if noise is None else f" (standard error over the folds {noise:.3f})"
        out += f" It is {abs(gain):.3f} {'above' if gain >= 0 else 'below'} the first parameters{known}."
    higher = max(complete, key=lambda trial: float(trial["value"]))
    if float(higher["value"]) > float(best["value"]) and higher["number"] != best["number"]:
        out += (
            f" Trial {higher['number']} came to {higher['value']:.3f}, which these folds cannot tell apart: "
            f"the simpler model goes first."
        )
    return out


def _gain(best: Facts, first: Facts) -> tuple[float, float | None]:
    """How far the chosen trial is above the first, and the standard error of the mean difference over folds."""
    pairs = list(zip(best["folds"], first["folds"], strict=False))
    if len(pairs) < 2 or len(best["folds"]) != len(first["folds"]):
        return float(best["value"]) - float(first["value"]), None
    gaps = [float(a) - float(b) for a, b in pairs]
    mean = sum(gaps) / len(gaps)
    spread = sum((gap - mean) ** 2 for gap in gaps) / (len(gaps) - 1)
    return float(best["value"]) - float(first["value"]), math.sqrt(spread / len(gaps))


def _figures(training: Facts, ordered: Sequence[Facts], complete: Sequence[Facts]) -> Iterator[tuple[str, str, str]]:
    """Name, value and small print of the figures at the top."""
    best = training.get("best", {})
    if best:
        noise = f"± {number(best['noise'], 2)} between folds" if finite(best.get("noise")) else "one fold"
        yield _words(str(training["objective"])), number(round(float(best["value"]), 4)), noise
    if ordered:
        gone = len(ordered) - len(complete)
        yield "trials", number(len(ordered)), f"{number(gone)} given up early" if gone else "all to the end"
    yield "boosting rounds", chosen(training)[1], f"{number(training.get('bag'))} in the bag"
    yield "features", number(training.get("features")), _left_out(training)
    if isinstance(training.get("seconds"), Mapping):
        yield "seconds", number(round(spent(training["seconds"]), 1)), "in all"


def _left_out(training: Facts) -> str:
    selection = training.get("selection")
    gone = selection.get("dropped", ()) if isinstance(selection, Mapping) else ()
    return f"{number(len(gone))} left out" if gone else "none left out"


def why_stopped(training: Facts) -> str:
    """Why the search ended, as half a sentence; empty where the facts do not say."""
    told = str(training.get("stopped") or "")
    return STOPPED.get(told, told)


def _spread(training: Facts, complete: Sequence[Facts]) -> list[tuple[str, list[float], bool]]:
    """The chosen trial, the best others and the first: label, value of each fold, whether it is the chosen one."""
    best = training.get("best", {}).get("number")
    ranked = sorted(complete, key=lambda trial: (-float(trial["value"]), int(trial["number"])))
    picked = [trial for trial in ranked if trial["number"] == best]
    picked += [trial for trial in ranked if trial["number"] not in (best, 0)][: SHOWN - 2]
    picked += [trial for trial in ranked if trial["number"] == 0 != best]
    rows = [(f"trial {trial['number']}" + (", first" if trial["number"] == 0 else ""), trial) for trial in picked]
    return [(label, [float(v) for v in trial["folds"]], trial["number"] == best) for label, trial in rows]


def _parameters(training: Facts, found: Sequence[Influence]) -> Grid:
    """Every parameter of the model; of the searched ones, how much they mattered and where good trials lie."""
    told = {item.name: item for item in found}
    params = dict(chosen(training)[0])
    names = [*(name for name in told if name in params), *sorted(name for name in params if name not in told)]
    rows = []
    for name in names:
        item = told.get(name)
        spread = "" if item is None or item.low is None else f"{number(item.low)} to {number(item.high)}"
        rows.append(plain(_words(name), number(params[name]), "" if item is None else f"{item.share:.2f}", spread))
    head = ("Parameter", "Chosen", "Influence", "Good trials")
    return Grid("Parameters", "", head, tuple(rows))


def _listed(ordered: Sequence[Facts], training: Facts) -> Grid:
    """Every trial, or the best of very many."""
    kept = list(ordered)
    if len(kept) > LISTED:
        kept = sorted(kept, key=lambda trial: (is_pruned(trial), -float(trial["value"])))[:LISTED]
        kept.sort(key=lambda trial: int(trial["number"]))
    varied = list(dict.fromkeys(name for trial in kept for name in trial["params"]))
    caption = f"The best {LISTED} of {len(ordered):,}." if len(ordered) > LISTED else ""
    head = ("Trial", "State", "Value", "Folds", "Rounds", "Seconds", *(_words(name) for name in varied))
    best = training.get("best", {}).get("number")
    rows = []
    for trial in kept:
        state = "chosen" if trial["number"] == best else "given up" if is_pruned(trial) else "complete"
        folds = ", ".join(f"{float(value):.3f}" for value in trial.get("folds", ()))
        cells = [number(trial["params"].get(name)) for name in varied]
        figures = (number(trial.get("iterations")), number(trial.get("seconds")))
        rows.append(plain(str(trial["number"]), state, f"{float(trial['value']):.4f}", folds, *figures, *cells))
    return Grid("Every trial", caption, head, tuple(rows))


def _words(name: str) -> str:
    return name.replace("_", " ")
