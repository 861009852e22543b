"""The rule's log, read one way for the check and for the verdict: flags, words of action, controls and chances.

In go the recipe's ``[rule]`` and the event table; out come aligned arrays. It refuses values of no known meaning and
columns that contradict each other, because no statistic can mend that.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.errors import DataError, near_matches

if TYPE_CHECKING:
    from riskml.recipe.spec import Rule

__all__ = [
    "AGREEMENT",
    "LEAST_CHANCE",
    "actions",
    "chances",
    "column",
    "first_version",
    "flags",
    "held",
    "others",
    "surprise",
    "untouched",
]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

AGREEMENT = 0.99  # share of equal decisions below which the rule's text is not the rule that ran
LEAST_CHANCE = 1e-4  # below it one release stands for more than ten thousand alerts, and nothing is learnt from it
_SURPRISE = 4.0  # standard errors between releases and their chances; draws shared by retries widen the spread

# Let through in the end, after a person or a passed challenge cleared them: seen, but by no draw of chance.
HELD = frozenset(
    {
        "held_released",
        "held_then_released",
        "released_after_hold",
        "released_after_review",
        "approved_after_review",
        "review_approved",
        "step_up_passed",
        "challenge_passed",
    }
)
ALLOWED = HELD | frozenset(
    {"allow", "allowed", "approve", "approved", "accept", "accepted", "pass", "passed", "release", "released", "none"}
)
STOPPED = frozenset(
    {"block", "blocked", "deny", "denied", "decline", "declined", "reject", "rejected", "hold", "held", "review"}
)
UNSETTLED = frozenset(
    {"step_up", "stepup", "challenge", "challenged", "quiz", "otp", "2fa", "cancel", "cancelled", "abandoned"}
    | {"step_up_abandoned", "step_up_failed", "challenge_abandoned", "challenge_failed", "expired", "timeout"}
)
_YES, _NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})


def column(frame: pd.DataFrame, name: str, who: str) -> pd.Series[Any]:
    """A column of events, or DataError with the nearest name."""
    if name not in frame.columns:
        raise DataError(f"{who} names `{name}`, which events do not have", near_matches(name, map(str, frame.columns)))
    return frame[name]


def flags(frame: pd.DataFrame, name: str, key: str) -> tuple[Bools, int]:
    """A yes-or-no column [n], null being no, and the number of nulls."""
    codes, values = pd.factorize(column(frame, name, key), use_na_sentinel=True)
    words = [str(value).strip().casefold() for value in values]
    if set(words) - _YES - _NO:
        many = len(set(words) - _YES - _NO)
        message = f"{key}: `{name}` holds {many} value{'s' * (many != 1)} that are neither yes nor no"
        raise DataError(message, "it must be true or false, or 1 or 0")
    return np.array([*(word in _YES for word in words), False], bool)[codes], int((codes < 0).sum())


def actions(frame: pd.DataFrame, name: str) -> tuple[Bools, int]:
    """Whether each event was let through [n], null being no, and the number of nulls.

    A challenge nobody finished is no: the customer may have been a thief who gave up, or somebody who was put off.
    """
    codes, words = _words(frame, name)
    odd = [word for word in words if word not in ALLOWED | STOPPED | UNSETTLED]
    if odd:
        hint = near_matches(odd[0], ALLOWED | STOPPED | UNSETTLED) or "known: allow, block, review, step_up, cancelled"
        raise DataError(f"rule.action `{name}` holds `{odd[0]}`, which says neither let through nor stopped", hint)
    return np.array([*(word in ALLOWED for word in words), False], bool)[codes], int((codes < 0).sum())


def held(frame: pd.DataFrame, name: str) -> Bools:
    """Whether each event was let through only after it had been held or challenged [n]."""
    codes, words = _words(frame, name)
    return np.array([*(word in HELD for word in words), False], bool)[codes]


def _words(frame: pd.DataFrame, name: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Codes into the different words of action, -1 for null, and the words in one spelling."""
    codes, values = pd.factorize(column(frame, name, "rule.action"), use_na_sentinel=True)
    return codes, [str(value).strip().casefold().replace("-", "_").replace(" ", "_") for value in values]


def first_version(frame: pd.DataFrame, rule: Rule, time: npt.NDArray[np.int64]) -> int | None:
    """When the log first names a version of the rule, microseconds UTC; None if it never does."""
    if rule.logged_version is None:
        return None
    named = column(frame, rule.logged_version, "rule.logged_version").notna().to_numpy(dtype=bool)
    return int(time[named].min()) if named.any() else None


def others(frame: pd.DataFrame, rule: Rule, fired: Bools) -> Bools:
    """Whether any control but the rule is named in the ``decided_by`` column [n]; all false without one.

    Raises:
        DataError: events the rule fired on name controls, and never the rule: it is logged under another name.
    """
    if rule.decided_by is None:
        return np.zeros(len(frame), bool)
    codes, values = pd.factorize(_as_text(column(frame, rule.decided_by, "rule.decided_by")), use_na_sentinel=True)
    named = [{word for word in re.split(r"[\s,;|+]+", value) if word} for value in values]
    on_fired = np.bincount(codes[fired & (codes >= 0)], minlength=len(named))
    seen = Counter({word: 0 for words in named for word in sorted(words)})
    for words, count in zip(named, on_fired, strict=True):
        seen.update(dict.fromkeys(words, int(count)))
    if not seen[rule.name] and any(seen.values()):
        most = min(seen, key=lambda word: (-seen[word], word))
        message = f"`{rule.decided_by}` never names the rule `{rule.name}` on an event it fired on"
        raise DataError(message, f'set rule.name = "{most}", the name found there most often, if that is the rule')
    return np.array([*(bool(words - {rule.name}) for words in named), False], bool)[codes]


def _as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Lists of control names joined by spaces; text and null as they are."""
    plain = values.map(lambda x: " ".join(map(str, x)) if isinstance(x, list | tuple | np.ndarray) else x)
    return plain.where(plain.isna(), plain.astype(str))


def untouched(rule: Rule, fired: Bools, allowed: Bools | None, others: Bools) -> tuple[Bools, Bools]:
    """Which fired events were let through, and which events another control acted on [n].

    ``allowed`` is None without an action column: then an enforced rule stopped everything it fired on. Where the rule
    enforces nothing every outcome was seen, whatever the action says.
    """
    if not rule.enforced:
        return fired.copy(), others
    if allowed is None:
        return fired & False, others
    return fired & allowed, others | (~allowed & ~fired)


def chances(frame: pd.DataFrame, rule: Rule, fired: Bools) -> Floats:
    """Release chance of fired events [n], NaN where none is logged."""
    found = np.full(len(frame), np.nan)
    if rule.release_chance is None:
        return found
    if rule.enforced and rule.action is None:
        hint = "without it nobody knows which fired events were let through"
        raise DataError("rule.release_chance needs rule.action", hint)
    logged = column(frame, rule.release_chance, "rule.release_chance")
    number = pd.to_numeric(logged, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    absent = logged.isna().to_numpy(dtype=bool)
    wrong = int((fired & ~absent & ~((number > 0) & (number <= 1))).sum())
    if wrong:
        hint = "log the chance the event had of being let through; leave it null where nothing was drawn"
        raise DataError(f"`{rule.release_chance}` is outside (0, 1] for {wrong:,} fired events", hint)
    tiny = int((fired & (number < LEAST_CHANCE)).sum())
    if tiny:
        hint = "one such release would stand for the whole rule: raise the chance, or leave it null"
        raise DataError(f"`{rule.release_chance}` is below {LEAST_CHANCE:g} for {tiny:,} fired events", hint)
    found[fired] = number[fired]
    return found


def surprise(rule: Rule, chance: Floats, drawn: Bools, released: Bools) -> str | None:
    """What is odd about the number of releases among ``drawn`` events, given their chances; None if nothing is.

    Raises:
        DataError: an event with chance 1 was stopped.
    """
    rows = drawn & ~np.isnan(chance)
    if not rule.enforced or not rows.any():
        return None
    stopped = int((rows & ~released & (chance >= 1)).sum())
    if stopped:
        message = (
            f"{stopped:,} fired events were stopped though `{rule.release_chance}` says they were sure to go through"
        )
        raise DataError(message, "log the chance that was drawn with, name other controls in rule.decided_by")
    wanted, spread = float(chance[rows].sum()), float((chance[rows] * (1 - chance[rows])).sum()) ** 0.5
    got = int((rows & released).sum())
    if abs(got - wanted) <= _SURPRISE * max(spread, 1e-9):
        return None
    return f"{got:,} fired events were released where their logged chances say about {wanted:,.0f}"
