"""The sealed sign-off window and the ledger of looks into it: each look is dearer than the one before.

In go the windows and what is judged; out come the windows this verdict may see, the confidence its intervals need, and
frozen facts that say so. A look is a model on a window that overlaps an earlier look's; the k-th costs
alpha / (k (k + 1)), so that all of them together cost no more than alpha (sum over k of 1 / (k (k + 1)) = 1; D. P.
Foster and R. A. Stine, J. R. Statist. Soc. B 70, 2008, spend alpha along such sequences). A look is written down
before it is taken; the same look again is free. Verdicts that saw the days before they were sealed, or without a seal
after they were opened, are looks too. A ledger that was altered is refused, and one that was cut short or removed too,
as long as the file beside it remembers its last line.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from riskml.data.split import Windows, iso
from riskml.errors import DataError, UsageError
from riskml.evidence.backtest.seen import BEFORE, seen

if TYPE_CHECKING:
    from riskml.recipe.spec import Recipe

__all__ = ["FILE", "Entry", "Looks", "Request", "cost", "look", "read", "take"]

FILE = "ledger.jsonl"
_START = "0" * 64  # what the first entry follows
_TAIL_DRAWS = 20  # draws that must lie beyond each end of an interval, or its ends are noise
_MOST_DRAWS = 100_000
_BEFORE = " Days of it were judged before they were sealed, which counts as a look."


@dataclass(frozen=True)
class Entry:
    """One look, as one line of the ledger.

    Args:
        number: 1 for the first line of the file.
        at: when it was taken, microseconds UTC by the machine's clock.
        model: digest of the model.
        subject: digest of all else that decides the answer: data, recipe, rival.
        start: first instant of the window, microseconds UTC.
        end: first instant after it.
        look: k, counting looks at overlapping windows.
        spent: alpha / (k (k + 1)).
        before: ``hash`` of the line before.
        hash: SHA-256 of the line without this field.
    """

    number: int
    at: int
    model: str
    subject: str
    start: int
    end: int
    look: int
    spent: float
    before: str
    hash: str = ""

    def sealed(self) -> Entry:
        """The entry with its hash."""
        body = {name: value for name, value in asdict(self).items() if name != "hash"}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return replace(self, hash=hashlib.sha256(text.encode()).hexdigest())

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it looked at any instant of a window."""
        return self.start < end and start < self.end


@dataclass(frozen=True)
class Request:
    """A wish to open the sealed window: where the ledger is and what the clock says (microseconds UTC)."""

    ledger: Path
    now: int


@dataclass(frozen=True)
class Looks:
    """What part of the test window a verdict saw, and what that cost.

    Args:
        part: "whole" (no window is sealed), "development" (all but the sealed one) or "sign-off" (the sealed one).
        start: first instant judged.
        end: first instant no longer judged.
        sealed_from: where the sealed window begins; None without one.
        sealed_to: where it ends.
        look: k of this look, at the days of it that are or were sealed; None where it saw none.
        looks: looks written down so far at windows that overlap the sealed one, this one included.
        alpha: error all looks together may make, 1 - ``[backtest] confidence``.
        spent: error this look may make; 0 where ``look`` is None.
        spent_so_far: error all looks counted in ``looks`` may make.
        confidence: level of every interval of this verdict.
        repeated: the same look was taken before, so it cost nothing new.
        ledger: "none" (nothing to count), "missing" (no file: looks taken elsewhere are unknown), "new" or "found".
        words: one sentence for the page and the terminal.
    """

    part: str
    start: str
    end: str
    sealed_from: str | None
    sealed_to: str | None
    look: int | None
    looks: int
    alpha: float
    spent: float
    spent_so_far: float
    confidence: float
    repeated: bool
    ledger: str
    words: str


def cost(alpha: float, look: int) -> float:
    """Error the ``look``-th look may make; over all looks these sum to ``alpha``."""
    return alpha / (look * (look + 1))


def take(
    recipe: Recipe, windows: Windows, model: str, subject: str, request: Request | None, ledger: Path | None = None
) -> tuple[Recipe, Windows, Looks]:
    """The recipe with the confidence this look needs, the windows with the part of test it may see, and the facts.

    Args:
        recipe: its ``[backtest] sign_off`` seals the last part of the test window.
        windows: the windows; only ``test_start`` and ``test_end`` of those given back differ.
        model: digest of the model.
        subject: digest of all else that decides the answer.
        request: to open the sealed window; None judges on what lies before it.
        ledger: the ledger to count earlier looks from without a request; None counts none.

    Raises:
        UsageError: sign-off is asked for and the recipe seals nothing.
        DataError: the sealed part leaves nothing to judge, or the ledger is unreadable or altered.
    """
    spec = recipe.backtest
    alpha = 1 - spec.confidence
    if spec.sign_off is None:
        if request is not None:
            raise UsageError("the recipe seals no window to sign off on", 'set sign_off = "14d" under [backtest]')
        words = "The window is not sealed: looks at it are not counted."
        facts = _facts("whole", windows, None, alpha, spec.confidence, words)
        return recipe, windows, _unsealed(facts, windows, model, subject, ledger, words="")
    cut = windows.test_end - spec.sign_off
    if cut <= windows.test_start:
        hint = "lengthen train.test or shorten backtest.sign_off"
        raise DataError("the sealed sign-off window leaves nothing of the test window before it", hint)
    if request is None:
        part, facts = _develop(recipe, windows, cut, ledger)
        return recipe, part, _unsealed(facts, part, model, subject, ledger, words=f"{facts.words} ")
    sealed = replace(windows, test_start=cut)
    fresh = _recount(request, (cut, windows.test_end), alpha)
    found, new, repeated = look(request, model, subject, (cut, windows.test_end), alpha)
    fresh |= new
    entry = found[-1]
    confidence = 1 - entry.spent
    draws = max(spec.draws, min(math.ceil(2 * _TAIL_DRAWS / entry.spent), _MOST_DRAWS))
    words = (
        f"Sign-off look {entry.look}{' again' if repeated else ''}: intervals hold at {confidence:.2%}, "
        f"{entry.spent:.2%} of the {alpha:.2%} error was spent on it."
    )
    words += _BEFORE * any(e.subject.startswith(BEFORE) for e in found)
    if fresh:
        words += " There was no ledger here before, so looks taken elsewhere are not counted."
    facts = _facts("sign-off", sealed, cut, alpha, confidence, words)
    facts = replace(facts, look=entry.look, looks=len(found), spent=entry.spent, repeated=repeated)
    facts = replace(facts, spent_so_far=sum(e.spent for e in found), ledger="new" if fresh else "found")
    return replace(recipe, backtest=replace(spec, confidence=confidence, draws=draws)), sealed, facts


def _develop(recipe: Recipe, windows: Windows, cut: int, ledger: Path | None) -> tuple[Windows, Looks]:
    """What a development look may see: all before the sealed window, at no cost."""
    spec = recipe.backtest
    part, alpha = replace(windows, test_end=cut), 1 - spec.confidence
    fresh = ledger is not None and _recount(Request(ledger, _now()), (cut, windows.test_end), alpha)
    entries = () if ledger is None else read(ledger)
    there, found = bool(entries), [e for e in entries if e.overlaps(cut, windows.test_end)]
    opened = sum(not e.subject.startswith(BEFORE) for e in found)
    words = f"Development look: the window from {iso(cut)} to {iso(windows.test_end)} stays sealed for sign-off; "
    words += "until it is opened, a release stays in shadow."
    if opened:
        words += f" It was opened {opened} time{'s' * (opened > 1)} before."
    words += _BEFORE * (opened < len(found))
    if ledger is not None and (fresh or not there):
        words += " There is no ledger here, so looks taken elsewhere are not counted."
    facts = _facts("development", part, cut, alpha, spec.confidence, words)
    facts = replace(facts, looks=len(found), spent_so_far=sum(e.spent for e in found))
    facts = replace(facts, sealed_to=iso(windows.test_end))
    return part, replace(facts, ledger="none" if ledger is None else "found" if there else "missing")


def _unsealed(facts: Looks, judged: Windows, model: str, subject: str, ledger: Path | None, words: str) -> Looks:
    """The facts of a verdict without a request; where days it judged were opened for sign-off before, a look more.

    ``words`` is what is said before that look is told; its intervals stay at the declared confidence.
    """
    start, end = judged.test_start, judged.test_end
    entries = () if ledger is None else read(ledger)
    opened = [e for e in entries if e.overlaps(start, end) and not e.subject.startswith(BEFORE)]
    if ledger is None or not opened:
        return facts
    days = (max(start, min(e.start for e in opened)), min(end, max(e.end for e in opened)))
    found, _, repeated = look(Request(ledger, _now()), model, subject, days, facts.alpha)
    entry = found[-1]
    words += f"This verdict looked at days sealed for sign-off, which is written down as look {entry.look} at them."
    facts = replace(facts, look=entry.look, spent=entry.spent, repeated=repeated, ledger="found", words=words)
    if facts.part == "development":  # ``looks`` counts those at the days that are sealed now
        return facts
    return replace(facts, looks=len(found), spent_so_far=sum(e.spent for e in found))


def _recount(request: Request, window: tuple[int, int], alpha: float) -> bool:
    """Write down what verdicts beside the ledger saw of the window before it was sealed; whether a ledger began so."""
    began = False
    for old in seen(request.ledger.parent, *window):
        began |= look(request, old.model, old.subject, (old.start, old.end), alpha)[1]
    return began


def _now() -> int:
    return time.time_ns() // 1000


def _facts(part: str, seen: Windows, cut: int | None, alpha: float, confidence: float, words: str) -> Looks:
    return Looks(
        part=part,
        start=iso(seen.test_start),
        end=iso(seen.test_end),
        sealed_from=None if cut is None else iso(cut),
        sealed_to=None if cut is None else iso(seen.test_end),
        look=None,
        looks=0,
        alpha=alpha,
        spent=0.0,
        spent_so_far=0.0,
        confidence=confidence,
        repeated=False,
        ledger="none",
        words=words,
    )


def look(
    request: Request, model: str, subject: str, window: tuple[int, int], alpha: float
) -> tuple[tuple[Entry, ...], bool, bool]:
    """Write a look down, or find it: looks at overlapping windows with this one last, fresh ledger, repeated look."""
    start, end = window
    with _locked(request.ledger) as handle:
        entries = read(request.ledger)
        fresh = not entries
        others = tuple(e for e in entries if e.overlaps(start, end))
        for same in others:
            if (same.model, same.subject, same.start, same.end) == (model, subject, start, end):
                return (*(e for e in others if e is not same), same), False, True
        k = len(others) + 1
        before = entries[-1].hash if entries else _START
        made = Entry(len(entries) + 1, request.now, model, subject, start, end, k, cost(alpha, k), before).sealed()
        _write(request.ledger, (*entries, made))
        os.ftruncate(handle, 0)
        os.pwrite(handle, made.hash.encode(), 0)
        return (*others, made), fresh, False


def read(ledger: Path) -> tuple[Entry, ...]:
    """Every entry, oldest first; none without a file.

    Raises:
        DataError: the file cannot be read, or a line was altered, removed or added by hand.
    """
    hint = "bring back the file as it was; without it nobody knows how often the window was opened"
    names = {f.name for f in fields(Entry)}
    last = _remembered(ledger)  # remembered after it was written, so read before
    entries: list[Entry] = []
    before = _START
    try:
        lines = ledger.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            body = json.loads(line)
            if not isinstance(body, dict) or set(body) != names:
                raise ValueError("fields")
            entry = Entry(**body)
            if entry.number != number or entry.before != before or entry.sealed().hash != entry.hash:
                raise ValueError("chain")
            entries.append(entry)
            before = entry.hash
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"cannot read the ledger of looks {ledger}: {error.strerror}", hint) from None
    except (ValueError, TypeError):
        message = f"the ledger of looks {ledger} was altered at line {len(entries) + 1}"
        raise DataError(message, hint) from None
    if last and last not in {entry.hash for entry in entries}:
        raise DataError(f"the ledger of looks {ledger} was {'cut short' if entries else 'removed'}", hint)
    return tuple(entries)


def _beside(ledger: Path) -> Path:
    """The lock of a ledger, which remembers the hash of the last line written on this machine."""
    return ledger.with_name(f".{ledger.name}.lock")


def _remembered(ledger: Path) -> str:
    try:
        return _beside(ledger).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _write(ledger: Path, entries: Sequence[Entry]) -> None:
    """Put the longer ledger in place of the shorter: a crash leaves one of the two, never half a line."""
    new = ledger.with_name(f".{ledger.name}.{os.getpid()}.tmp")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in entries)
            file.flush()
            os.fsync(file.fileno())
        new.replace(ledger)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def _locked(ledger: Path) -> Iterator[int]:
    """Hold the ledger alone, so that two looks at once cost as much as two in turn."""
    try:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(_beside(ledger), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write the ledger of looks {ledger}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)
