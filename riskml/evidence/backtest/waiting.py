"""A log that can train a model but not yet judge it: what there is to judge, and when the rest will be there.

In go the windows, the age at which decisions are matured and when the rule was written; out come the dates, an empty
sample where nothing is matured yet, and verdicts that wait for a date instead of an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from riskml.data.split import iso, judged_from
from riskml.evidence.backtest import verdict as v
from riskml.evidence.backtest.ledger import Looks, take
from riskml.evidence.backtest.log import Counts, Sample
from riskml.evidence.backtest.units import pack
from riskml.evidence.backtest.verdict import Interval, Settle, Verdict
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    import numpy.typing as npt

    from riskml.data.maturity import Maturity
    from riskml.data.split import Windows
    from riskml.evidence.backtest.judge import Judgement
    from riskml.evidence.backtest.replace import Evidence
    from riskml.evidence.rule import Incumbent
    from riskml.recipe.spec import Recipe

__all__ = ["Ready", "nothing", "nothing_matured", "postponed", "ready", "unspent", "waits"]

_UNKNOWN = Interval(float("nan"), float("nan"), float("nan"), v.UNKNOWN)


@dataclass(frozen=True)
class Ready:
    """When the test window asked for will be there; dates hold if nothing else in the recipe changes.

    Args:
        since: ISO time of the first instant whose decisions count: test begins and the rule was written.
        days: matured days there are now.
        wished: days asked for, ``train.test``.
        first: ISO time at which the first of these decisions is matured.
        full: ISO time at which all the days asked for are.
        wait_days: whole days from now to ``full``.
    """

    since: str
    days: float
    wished: float
    first: str
    full: str
    wait_days: int

    @property
    def text(self) -> str:
        """What an open verdict waits for."""
        return f"matured decisions, the first on {self.first[:10]} and {self.wished:g} days of them on {self.full[:10]}"

    @property
    def note(self) -> str:
        """One sentence for a window that is there in part."""
        return (
            f"{self.days:.3g} of the {self.wished:g} days of test are matured and count; "
            f"all of them will be on {self.full[:10]}."
        )


def ready(windows: Windows, since: int | None, matures: int, wish: int) -> Ready | None:
    """The dates for ``wish`` microseconds of test matured at the age ``matures``; None where they are there."""
    start = judged_from(windows, since)
    have = max(0, windows.test_end - start)
    if have >= wish:
        return None
    full = max(start, windows.rests) + wish + matures
    wait = max(1, math.ceil((full - windows.as_of) / DAY))
    return Ready(iso(start), have / DAY, wish / DAY, iso(start + matures), iso(full), wait)


def nothing_matured(windows: Windows, inc: Incumbent, time: npt.NDArray[np.int64], sealed: int | None) -> bool:
    """Whether no decision that counts is matured, beyond those a part of ``sealed`` microseconds would take in."""
    start = judged_from(windows, inc.since)
    if windows.test_end - start <= (sealed or 0):
        return True
    return not (inc.comparable & (time >= start) & (time < windows.test_end)).any()


def unspent(recipe: Recipe, windows: Windows) -> Looks:
    """The facts of a look that was not taken: nothing to see, nothing sealed, nothing spent."""
    open_recipe = replace(recipe, backtest=replace(recipe.backtest, sign_off=None))
    looks = take(open_recipe, windows, "", "", None)[2]
    return replace(looks, words="No look was taken, because nothing that could be judged is matured.")


def nothing(windows: Windows, policies: Iterable[str], ways: tuple[str, ...] = ("row",)) -> Sample:
    """A sample without a unit, for a window in which nothing is matured."""
    none, flags = np.zeros(0, np.int64), np.zeros(0, bool)
    units = pack(
        model=flags,
        extra=flags,
        rule=flags,
        enforced=False,
        released=flags,
        chance=np.zeros(0),
        fraud=none.astype(np.int8),
        alert_fraud=none.astype(np.int8),
        value=np.zeros(0),
        time=none,
        groups=np.zeros((len(ways), 0), np.int64),
        ways=ways,
    )
    counts = Counts(0, 0, 0, 0, 0, 0, 0, days=1e-9)  # rates are per day
    return Sample(units, dict.fromkeys(policies, flags), counts, none, windows.test_end, windows.test_end, none)


def postponed(found: Judgement, when: Ready) -> Judgement:
    """The judgement of nothing: both questions open until the date, and every number of them unknown."""

    def later(verdict: Verdict) -> Verdict:
        reason = f"no decision that counts is matured before {when.first[:10]}"
        settle = Settle(when.wait_days, verdict.settle.releases, when.text)
        numbers = {name: _UNKNOWN if number.mark != v.STATED else number for name, number in verdict.numbers.items()}
        return replace(verdict, word=v.INCONCLUSIVE, reasons=(reason,), settle=settle, numbers=numbers)

    def blank(evidence: Evidence) -> Evidence:
        return replace(evidence, value=_UNKNOWN, frauds=_UNKNOWN, insults=_UNKNOWN, volume=_UNKNOWN)

    return replace(
        found,
        add=later(found.add),
        replace=later(found.replace),
        evidence=blank(found.evidence),
        day_blocks=blank(found.day_blocks),
    )


def waits(maturity: Maturity, when: Ready | None) -> tuple[str, ...]:
    """Notes for the page: why the age of maturity is what it is, and how much of the test window is there."""
    said = maturity.reason[:1].upper() + maturity.reason[1:] + "."
    return (said,) if when is None else (said, when.note)
