"""What GitHub Actions is told: annotations beside the recipe, written so that no text can forge a command.

In go facts of a backtest; out come annotations (kind, title, text) and the lines the runner understands. The verdict
asked for is an error if it is FAIL, a warning if INCONCLUSIVE, a notice if PASS; a failed check beside it is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Annotation", "messages", "workflow_command"]

KINDS = {"PASS": "notice", "FAIL": "error"}
MOST = 10  # GitHub shows ten annotations of a kind for a step


@dataclass(frozen=True)
class Annotation:
    """One annotation: ``kind`` is "error", "warning" or "notice"."""

    kind: str
    title: str
    text: str


def messages(facts: Mapping[str, Any]) -> tuple[Annotation, ...]:
    """The verdict asked for, then each other check that failed."""
    from riskml.report.checks import checks  # brings statistics that the console does without

    asked, threat = str(facts["question"]).upper(), str(facts["threat"])
    word = str(facts[facts["question"]]["word"])
    found = [Annotation(KINDS.get(word, "warning"), f"riskml: {threat}", str(facts["headline"]))]
    for check in checks(facts):
        if check.word == "FAIL" and check.name != asked:
            found.append(Annotation("warning", f"riskml: {threat}, {check.name}", check.text))
    return tuple(found[:MOST])


def workflow_command(kind: str, text: str, **properties: str) -> str:
    r"""One line for the runner; empty properties are left out.

    >>> workflow_command("error", "50% of\nrows", title="a: b, c")
    '::error title=a%3A b%2C c::50%25 of%0Arows'

    Source of the escapes: ``escapeData`` and ``escapeProperty`` of ``actions/toolkit``, packages/core/src/command.ts.
    """
    held = ",".join(f"{name}={_property(value)}" for name, value in properties.items() if value)
    return f"::{kind}{' ' * bool(held)}{held}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
