"""One page to sign: the verdict as HTML, and the same page as Markdown; an annex follows.

In go the facts of a backtest (``Backtest.to_dict()``) and nothing else, so that page, terminal and JSON cannot differ;
out comes text. No customer row and no id is on it. Facts of another schema are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riskml.errors import DataError
from riskml.report.annex import annex
from riskml.report.answers import GLOSSARY, Answer, answers, noun, request, stamp, terms
from riskml.report.grid import Grid
from riskml.report.grounds import grounds, planned, sensitivities, weakest
from riskml.report.tables import swap

__all__ = ["SCHEMA", "markdown", "page"]

SCHEMA = "riskml.backtest/2"
SIGNERS = ("Risk operations", "Model owner", "Fraud strategy")
MARKS = (
    ("observed", "every outcome was seen"),
    ("estimated", "only a part was seen, through random releases or reviewers, or as some outcomes are unknown"),
    ("unknown", "stopped and never seen: it lies somewhere between the two numbers"),
    ("stated", "set in the recipe"),
)
SHORT = 12  # letters of a hash on the first page
NOTES = 6  # notes on the first page; a sheet holds no more


def page(facts: Mapping[str, Any]) -> str:
    """The signing page as HTML."""
    from riskml.report.page import render

    return render("verdict.html", facts, **_view(facts))


def markdown(facts: Mapping[str, Any]) -> str:
    """The same page as Markdown."""
    view = _view(facts)
    first = view["answers"][0]
    lines = [
        f"# {first.word}: {first.sentence}",
        "",
        f"{_escape(str(facts['threat']))} · verdict of {view['day']} · {view['stamp']}",
        "",
    ]
    lines += [f"**Request.** {_escape(view['request'])}", ""]
    lines += [f"**Terms.** {_escape(view['terms'])}", ""] if view["terms"] else []
    for answer in view["answers"]:
        lines += _answer(answer)
    lines += _table(view["swap"])
    lines += [", ".join(f"*{mark}*: {text}" for mark, text in MARKS) + ".", ""]
    for title, items in view["lists"]:
        if items:
            lines += [f"## {title}", "", *(f"- {_escape(item)}" for item in items), ""]
    lines += ["## Signatures", "", *(f"- {name}: ______________________  Date: ____________" for name in SIGNERS), ""]
    lines += ["## Words", "", *(f"- **{word}**: {text}" for word, text in GLOSSARY), ""]
    for grid in view["annex"]:
        lines += _table(grid)
    lines += ["## Further notes", "", *(f"- {_escape(item)}" for item in view["more"])]
    return "\n".join(lines)


def _answer(answer: Answer) -> list[str]:
    lines = [f"## {answer.title} ({answer.question.upper()}): {answer.word}", "", answer.sentence, ""]
    lines += [_escape(answer.why) + (f" Settled by {_escape(answer.settle)}." if answer.settle else ""), ""]
    lines += [f"{answer.caption}:", ""]
    lines += [f"- {name}: **{_escape(text)}**" + f" *{mark}*" * bool(mark) for name, (text, mark) in answer.figures]
    return [*lines, ""]


def _table(grid: Grid) -> list[str]:
    lines = [f"## {grid.title}", "", grid.caption, ""]
    lines += ["| " + " | ".join(grid.head) + " |", "|" + " --- |" * len(grid.head)]
    for cells in grid.rows:
        texts = [_escape(text) + (f" *{mark}*" if mark else "") for text, mark in cells]
        lines.append("| " + " | ".join(texts) + " |")
    return [*lines, ""]


def _escape(text: str) -> str:
    return "".join("\\" + char if char in "|*_`<>[]#\\" else " " if char in "\r\n" else char for char in text)


def _view(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything both forms show, as text."""
    if facts.get("schema") != SCHEMA:
        raise DataError(
            f"backtest facts of schema `{facts.get('schema')}` cannot be shown", "run `riskml backtest` again"
        )
    said = noun(facts)
    ground = grounds(facts, said)
    told = {line.rstrip(".").lower() for line in ground}
    notes = [note for note in facts["notes"] if note.rstrip(".").lower() not in told]
    return {
        "day": str(facts["as_of"])[:10],
        "stamp": stamp(facts),
        "request": request(facts),
        "terms": terms(facts),
        "answers": answers(facts),
        "swap": swap(facts, said),
        "lists": [
            ("What it rests on", ground),
            ("Where it is weakest", weakest(facts, said)),
            ("What would change the answer", [*facts["flips"], *planned(facts)]),
            ("When to roll back, once it acts", facts["rollback"]),
            ("Notes", notes[:NOTES] + [f"{len(notes) - NOTES} more in the annex."] * (len(notes) > NOTES)),
            ("Hashes", [f"{name} {digest[:SHORT]}" for name, digest in facts["hashes"].items()]),
        ],
        "annex": annex(facts, said),
        "more": [*notes[NOTES:], *sensitivities(facts, said)],
        "nbsp": "\u00a0",
        "marks": MARKS,
        "glossary": GLOSSARY,
        "signers": SIGNERS,
    }
