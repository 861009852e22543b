"""Who decides an event, with what chance, and what of a decision may be carried out.

In go an event's id, a share and a seed; out comes the arm, the same for the same id on every server and after every
restart, with the chance it had. The stage of a release bounds what its actions do: "shadow" carries out nothing.
Refuses to share events with a challenger whose verdicts allow less than the champion's.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from riskml.errors import UsageError

if TYPE_CHECKING:
    from riskml.release.load import Release
    from riskml.release.manifest import Stage
    from riskml.release.scorer import Action

__all__ = ["CHALLENGER", "CHAMPION", "Ramp", "check_arms", "enforced"]

CHAMPION, CHALLENGER = "champion", "challenger"
ORDER = ("shadow", "add", "replace")


@dataclass(frozen=True)
class Ramp:
    """The challenger decides this share of the events that have an id; ``seed`` says which."""

    share: float = 0.0
    seed: int = 0

    def place(self, identity: object) -> float:
        """Where an id falls between 0 and 1, evenly over ids; 1 and "1" fall apart."""
        digest = blake2b(repr(identity).encode("utf-8", "surrogatepass"), digest_size=8, key=b"%d" % self.seed).digest()
        return (int.from_bytes(digest, "big") >> 11) / (1 << 53)

    def choose(self, identity: object) -> tuple[str, float]:
        """The arm that decides and the chance that it had; an event without an id is always the champion's."""
        if self.share <= 0.0 or identity is None:
            return CHAMPION, 1.0
        if self.place(identity) < self.share:
            return CHALLENGER, self.share
        return CHAMPION, 1.0 - self.share


def enforced(action: Action, stage: Stage) -> Action:
    """What may be carried out of an action: nothing in stage "shadow"; an "allow" never lifts another control."""
    return "allow" if stage == "shadow" else action


def check_arms(champion: Release, challenger: Release | None, ramp: Ramp) -> None:
    """Refuse a ramp that would carry out less, or other, than the verdicts allow.

    Raises:
        UsageError: no challenger, or one of a lower stage.
    """
    if ramp.share <= 0.0:
        return
    if challenger is None:
        raise UsageError("there is no challenger to share events with", "start the server with --challenger RELEASE")
    if ORDER.index(challenger.stage) < max(1, ORDER.index(champion.stage)):
        message = f"the challenger {challenger.id} is in stage {challenger.stage}, so it may not decide"
        raise UsageError(message, f"it is scored beside {champion.id} without --ramp, until its verdict passes")
