"""One page to sign: the verdict against the rule as HTML, and the same page as Markdown.

In go the facts of a backtest (``Backtest.to_dict()``) and nothing else, so that page, terminal and JSON cannot differ;
out comes text. No customer row and no id is on it. Facts of another schema are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from riskml.errors import DataError
from riskml.evidence.backtest.verdict import Interval
from riskml.evidence.backtest.words import money, percent, signed, span, times

__all__ = ["SCHEMA", "markdown", "page"]

SCHEMA = "riskml.backtest/2"

REQUEST = {
    "replace": "Let the model decide instead of the rule, at the frozen threshold.",
    "add": "Let the model alert beside the rule, within the alert allowance.",
}
ALLOWS = {
    "PASS": {"replace": "The model may replace the rule.", "add": "The model may alert beside the rule."},
    "FAIL": {"replace": "Keep the rule.", "add": "Do not add the model's alerts."},
    "INCONCLUSIVE": {
        "replace": "Keep the rule and run the model in shadow.",
        "add": "Run the model in shadow.",
    },
}
SIGNERS = ("Risk operations", "Model owner", "Fraud strategy")


@dataclass(frozen=True)
class Answer:
    """One question on the page: word, sentence, its reasons and its figures as text."""

    question: str
    word: str
    sentence: str
    reasons: tuple[str, ...]
    figures: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Grid:
    """A table as text: a heading per column, then rows; cells are (text, mark), mark "" where none is due."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]


def page(facts: Mapping[str, Any]) -> str:
    """The signing page as HTML."""
    from riskml.report.page import render

    return render("verdict.html", facts, **_view(facts))


def markdown(facts: Mapping[str, Any]) -> str:
    """The same page as Markdown."""
    view = _view(facts)
    lines = [f"# {view['answers'][0].word}: {facts['threat']}", "", _escape(str(facts["headline"])), ""]
    lines += [f"**Request.** {view['request']} {view['period']}", ""]
    for answer in view["answers"]:
        lines += [f"## {answer.question.upper()}: {answer.word}", "", answer.sentence, ""]
        lines += [f"- {_escape(reason)}" for reason in answer.reasons] + [""]
        lines += [f"- {name}: **{_escape(text)}** {mark}".rstrip() for name, text, mark in answer.figures] + [""]
    lines += _table(*view["swap"])
    for title, items in view["lists"]:
        if items:
            lines += [f"## {title}", "", *(f"- {_escape(item)}" for item in items), ""]
    lines += ["## Signatures", "", *(f"- {name}: ______________________  Date: ____________" for name in SIGNERS), ""]
    for title, grid in view["annex"]:
        lines += _table(title, grid)
    return "\n".join(lines)


def _table(title: str, grid: Grid) -> list[str]:
    return [f"## {title}", "", grid.caption, "", *_rows(grid), ""]


def _rows(grid: Grid) -> list[str]:
    lines = ["| " + " | ".join(grid.head) + " |", "|" + " --- |" * len(grid.head)]
    for row in grid.rows:
        cells = [_escape(text) + (f" *{mark}*" if mark else "") for text, mark in row]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _escape(text: str) -> str:
    return "".join("\\" + char if char in "|*_`<>[]#\\" else " " if char in "\r\n" else char for char in text)


def _view(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything both forms show, as text."""
    if facts.get("schema") != SCHEMA:
        raise DataError(
            f"backtest facts of schema `{facts.get('schema')}` cannot be shown", "run `riskml backtest` again"
        )
    asked = str(facts["question"])
    order = (asked, "add" if asked == "replace" else "replace")
    counts, windows = facts["counts"], facts["windows"]
    period = (
        f"Judged on {counts['eligible']:,} decisions over {counts['days']:.0f} days up to {windows['test_end'][:10]}, "
        f"as known on {facts['as_of'][:10]}."
    )
    return {
        "request": REQUEST[asked],
        "period": period,
        "answers": [_answer(facts[name], facts) for name in order],
        "swap": ("Who caught what", _swap(facts)),
        "lists": [
            ("What it rests on", _basis(facts)),
            ("What would flip it", facts["flips"]),
            ("Roll back when", facts["rollback"]),
            ("Notes", facts["notes"]),
            ("Hashes", [f"{name} {digest}" for name, digest in facts["hashes"].items()]),
        ],
        "annex": [
            ("Money at risk saved", _saved(facts)),
            ("Simple policies", _baselines(facts)),
            ("Week by week", _weeks(facts)),
        ],
        "signers": SIGNERS,
    }


def _rule_line(rule: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What became of the rule's alerts."""
    if not rule["enforced"]:
        return f"The rule fired on {rule['fired']:,} decisions and stopped none of them."
    return (
        f"The rule fired on {rule['fired']:,} decisions and {rule['released']:,} of them were let through; "
        f"{found['released']:,} of those were alerts of the rule alone."
    )


def _interval(body: Mapping[str, Any]) -> Interval:
    estimate, low, high = (float("nan") if body[x] is None else float(body[x]) for x in ("estimate", "low", "high"))
    return Interval(estimate, low, high, str(body["mark"]))


def _answer(body: Mapping[str, Any], facts: Mapping[str, Any]) -> Answer:
    question, word = str(body["question"]), str(body["word"])
    n = {name: _interval(value) for name, value in body["numbers"].items()}
    if question == "add":
        threshold = facts["points"]["add"]
        figures = [
            ("Precision of an extra alert", span(n["precision"], percent), n["precision"].mark),
            ("Bar", span(n["bar"], percent) if n["bar"].mark != "stated" else percent(n["bar"].low), n["bar"].mark),
            ("Value found per extra alert", span(n["value_per_alert"]), n["value_per_alert"].mark),
            ("Extra alerts against the allowance", span(n["volume"], times), n["volume"].mark),
        ]
    else:
        threshold = facts["points"]["replace"]
        figures = [
            ("Value caught, model minus rule", signed(n["value"]), n["value"].mark),
            ("Frauds caught, model minus rule", signed(n["frauds"]), n["frauds"].mark),
            ("Insults, model minus rule", signed(n["insults"]), n["insults"].mark),
            ("Alerts, model to rule", span(n["volume"], times), n["volume"].mark),
        ]
    if threshold is not None:
        figures.append(("Frozen threshold (raw margin)", f"{threshold:.4f}", ""))
    return Answer(question, word, ALLOWS[word][question], tuple(body["reasons"]), tuple(figures))


def _swap(facts: Mapping[str, Any]) -> Grid:
    rows = []
    for row in facts["swap"]:
        cells = [(str(row["name"]), ""), (f"{row['events']:,}", ""), (f"{row['units']:,}", "")]
        for name in ("frauds", "value", "insults"):
            cell = _interval(row[name])
            cells.append(("–", "") if row["name"] == "neither" and name == "insults" else (span(cell), cell.mark))
        rows.append(tuple(cells))
    caption = (
        "At the threshold of REPLACE, retries counted once. What both alert on cancels; the middle two rows decide. "
        "Observed: outcomes were seen. Estimated: from random releases, each standing for 1/chance. Unknown: stopped "
        "and never seen, so only bounds are given. Ranges are intervals: they also say how many there might have been."
    )
    return Grid(caption, ("Alerted by", "Events", "Episodes", "Frauds", "Value", "Insults"), tuple(rows))


def _saved(facts: Mapping[str, Any]) -> Grid:
    rows = []
    for row in facts["saved"]:
        cell = _interval(row["share"])
        rows.append(((str(row["policy"]), ""), (span(cell, percent), cell.mark), (str(row["basis"]), "")))
    caption = "Share of the money of all frauds that was alerted on. Alert labels are no independent evidence."
    return Grid(caption, ("Policy", "Share", "Basis"), tuple(rows))


def _baselines(facts: Mapping[str, Any]) -> Grid:
    rows = []
    for row in facts["baselines"]:
        parts = [_interval(row[name]) for name in ("precision", "value_share")]
        seen = "–" if row["seen"] is None else f"{row['seen']:.0%}"
        cells = [(str(row["name"]), ""), (f"{row['alerts_per_day']:.1f}", ""), (seen, "")]
        quiet = row["alerts"] == 0
        rows.append((*cells, *(("–", "") if quiet else (span(part, percent), part.mark) for part in parts)))
    caption = "Retries counted once. Seen: share of the policy's alerts whose outcome was seen."
    return Grid(caption, ("Policy", "Alerts a day", "Seen", "Precision", "Value caught"), tuple(rows))


def _weeks(facts: Mapping[str, Any]) -> Grid:
    worst = facts["worst_week"]["start"] if facts["worst_week"] else None
    rows = []
    for row in facts["weeks"]:
        name = row["start"][:10] + (" (worst)" if row["start"] == worst else "")
        cells = [name, f"{row['model_alerts']:,}", f"{row['rule_alerts']:,}", f"{row['frauds']:,}"]
        cells.append(_between(row["value_low"], row["value_high"]))
        cells.append(_between(row["insults_low"], row["insults_high"]))
        rows.append(tuple((cell, "") for cell in cells))
    caption = "Model minus rule; a range where outcomes were not seen. Single weeks are noisy and decide nothing."
    head = ("Week from", "Model episodes", "Rule episodes", "Frauds seen", "Value", "Insults")
    return Grid(caption, head, tuple(rows))


def _between(low: float, high: float) -> str:
    return money(low) if abs(high - low) < 1e-9 else f"{money(low)} to {money(high)}"


def _basis(facts: Mapping[str, Any]) -> list[str]:
    """Episodes, maturity, clusters and what is left out."""
    counts, rule, found = facts["counts"], facts["rule"], facts["evidence"]
    lines = [
        f"{counts['units']:,} episodes from {counts['eligible']:,} decisions; left out: {counts['bypassed']:,} "
        f"allow-listed, {counts['other_control']:,} under other controls, {counts['before_rule']:,} before the rule.",
        f"Only matured decisions count; {facts['immature']['events']:,} younger ones wait, "
        f"{facts['immature']['frauds']:,} of them known frauds already.",
        _rule_line(rule, found),
        f"{found['clusters']:.0f} effective fraud clusters, counted by {', by '.join(found['ways'])} and the least "
        f"taken. Linked through all of these together, the largest campaign holds {facts['largest_share']:.0%} of "
        "known frauds.",
    ]
    rest = facts["without_largest"]
    if rest is not None:
        lines.append(f"Without the largest campaign: value caught {signed(_interval(rest['value']))}.")
    lines.append(f"Resampling whole days: value caught {signed(_interval(facts['day_blocks']['value']))}.")
    if rule["agreement"] is not None:
        lines.append(f"The rule's text agrees with its log on {rule['agreement']:.1%} of events.")
    if facts["net_value"] is not None:
        net = _interval(facts["net_value"]["difference"])
        lines.append(f"Net value by the declared costs: {signed(net)} ({net.mark}).")
    if facts["worst_week"]:
        week = facts["worst_week"]
        lines.append(
            f"Worst week, from {week['start'][:10]}: value caught {_between(week['value_low'], week['value_high'])}, "
            f"insults {_between(week['insults_low'], week['insults_high'])}, model minus rule."
        )
    lines.append(f"Intervals are {facts['confidence']:.0%}, paired, over whole clusters.")
    return lines
