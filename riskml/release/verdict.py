"""What the facts of a backtest allow a release to do.

In go the facts as ``riskml.backtest/2``; out comes the stage: "replace" if REPLACE passed, else "add" if ADD passed,
else "shadow". Where a window is sealed for sign-off, only a verdict on it allows more than shadow. Somebody may raise
the stage by giving a reason, which stays in the release; the verdict stays what it is. Facts about another model are
refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from riskml.errors import StaleError, UsageError
from riskml.release.manifest import STAGES, Override, Stage

__all__ = ["check_model", "choose_stage", "raise_stage", "stage_of", "word_of"]


def word_of(verdict: Mapping[str, object], question: str) -> str:
    """PASS, FAIL or INCONCLUSIVE of "add" or "replace"; INCONCLUSIVE if it was not answered."""
    answer = verdict.get(question)
    word = answer.get("word") if isinstance(answer, Mapping) else None
    return word if isinstance(word, str) else "INCONCLUSIVE"


def stage_of(verdict: Mapping[str, object]) -> Stage:
    """The highest stage the verdicts allow; a development look passes nothing."""
    if _unsigned(verdict):
        return "shadow"
    if word_of(verdict, "replace") == "PASS":
        return "replace"
    return "add" if word_of(verdict, "add") == "PASS" else "shadow"


def _unsigned(verdict: Mapping[str, object]) -> bool:
    """Whether a window is sealed for sign-off and the verdict did not see it."""
    looks = verdict.get("looks")
    return isinstance(looks, Mapping) and looks.get("part") == "development"


def choose_stage(verdict: Mapping[str, object], wanted: Stage | None) -> Stage:
    """``wanted``, or the highest allowed if None.

    Raises:
        UsageError: the verdicts do not allow what is wanted.
    """
    allowed = stage_of(verdict)
    if wanted is None:
        return allowed
    _check_stage(wanted)
    if STAGES.index(wanted) > STAGES.index(allowed):
        words = " and ".join(f"{question.upper()} {word_of(verdict, question)}" for question in ("add", "replace"))
        words += ", on the open side of a sealed window" if _unsigned(verdict) else ""
        raise UsageError(
            f"stage `{wanted}` is above what the verdicts allow ({words})", f"leave it at `{allowed}`, or --override"
        )
    return wanted


def raise_stage(verdict: Mapping[str, object], wanted: Stage | None, reason: str) -> Override:
    """What the manifest says of a stage above what the verdicts allow.

    Raises:
        UsageError: no such stage, one that the verdicts allow anyway, or a reason that says nothing.
    """
    if wanted is None:
        raise UsageError("an override names the stage it wants", "add --stage add, or --stage replace")
    _check_stage(wanted)
    allowed, words = stage_of(verdict), reason.strip()
    if STAGES.index(wanted) <= STAGES.index(allowed):
        raise UsageError(f"the verdicts allow stage `{allowed}`: there is nothing to override", "leave --override out")
    if not 10 <= len(words) <= 500 or not words.isprintable():
        raise UsageError("the reason of an override is one line of 10 to 500 characters", "say who decided, and why")
    return Override(words, allowed)


def _check_stage(wanted: str) -> None:
    if wanted not in STAGES:
        raise UsageError(f"no stage `{wanted}`", f"the stages are {', '.join(STAGES)}")


def check_model(verdict: Mapping[str, object], digest: str) -> None:
    """Refuse a verdict on another model.

    Raises:
        StaleError: the facts name another model, or none.
    """
    hashes = verdict.get("hashes")
    judged = hashes.get("model") if isinstance(hashes, Mapping) else None
    if judged != digest:
        which = f"model {judged[:12]}" if isinstance(judged, str) else "no model"
        message = f"the verdict is on {which} and the release would hold model {digest[:12]}"
        raise StaleError(message, "run `riskml backtest` again, then package")
