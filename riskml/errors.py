"""The exceptions riskml raises on purpose: each carries a message, a hint and the exit code of the process.

    RiskmlError
    ├── UsageError        a wrong path, option or working order
    │   └── BusyError     another run holds the folder
    ├── RecipeError       the recipe cannot be understood; holds every problem found
    ├── ExpressionError   a filter, rule or derived feature cannot be parsed or evaluated
    ├── DataError         the data breaks the contract of the recipe
    ├── TrainingError     the training rows cannot support a model
    ├── StaleError        an input changed since the stage that used it
    └── ReleaseError      a release is altered, malformed or from a newer riskml

Anything else that reaches the command line is a bug in riskml and exits with 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

__all__ = [
    "BusyError",
    "DataError",
    "ExitCode",
    "ExpressionError",
    "Problem",
    "RecipeError",
    "ReleaseError",
    "RiskmlError",
    "StaleError",
    "TrainingError",
    "UsageError",
    "near_matches",
]


class ExitCode(IntEnum):
    """What the exit status of every command means."""

    OK = 0
    NO = 1
    CANNOT_ANSWER = 2
    BUG = 3
    INCONCLUSIVE = 4
    INTERRUPTED = 130


class RiskmlError(Exception):
    """An error the user can act on.

    Args:
        message: what is wrong, one sentence, without a final full stop.
        hint: what to do about it; empty if there is nothing useful to say.
    """

    exit_code: ExitCode = ExitCode.CANNOT_ANSWER

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RiskmlError):
    """A wrong path, option or working order."""


class BusyError(UsageError):
    """Another run holds the folder."""


class ExpressionError(RiskmlError):
    """A filter, rule or derived feature cannot be parsed or evaluated."""


class DataError(RiskmlError):
    """The data breaks the contract of the recipe."""


class TrainingError(RiskmlError):
    """The training rows cannot support a model."""


class StaleError(RiskmlError):
    """An input changed since the stage that used it."""


class ReleaseError(RiskmlError):
    """A release is altered, malformed or from a newer riskml."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a recipe: where (``file``, ``key``), what, and a hint."""

    file: str
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key}" if self.key else self.file
        return f"{where}: {self.message}"


class RecipeError(RiskmlError):
    """The recipe cannot be understood; ``problems`` holds everything found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        if count == 1:
            super().__init__(str(self.problems[0]), self.problems[0].hint)
            return
        lines = [f"{count} problems in the recipe"]
        for problem in self.problems:
            lines.append(f"  {problem}" + (f" ({problem.hint})" if problem.hint else ""))
        super().__init__("\n".join(lines), "mend them all, then run the command again")


def near_matches(word: str, known: Iterable[str], limit: int = 3) -> str:
    """A hint that ranks the known names nearest to ``word``; empty if none is near.

    >>> near_matches("is_frod", ["is_fraud", "amount"])
    'did you mean `is_fraud`?'
    """
    names = list(dict.fromkeys(str(name) for name in known))
    folded = {name.casefold(): name for name in names}
    found = difflib.get_close_matches(word.casefold(), list(folded), n=limit, cutoff=0.6)
    if not found:
        return ""
    return "did you mean " + " or ".join(f"`{folded[name]}`" for name in found) + "?"
