"""What is served right now, and how it changes without a request being dropped.

In go the files a server was told to serve; out comes a lineup (champion, challenger, ramp) that was verified, trusted
and scored its own golden vectors before anybody sees it. A change swaps one lineup for the next between two requests;
one that fails leaves the old one in place. The lineup before the last change is kept for a rollback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from riskml.errors import ReleaseError, UsageError
from riskml.serve.ramp import CHALLENGER, CHAMPION, Ramp, check_arms
from riskml.serve.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from riskml.release.load import Release

__all__ = ["Changeover", "Lineup", "open_lineup"]


@dataclass(frozen=True)
class Lineup:
    """Who decides, who is scored beside, and with what share."""

    champion: Release
    challenger: Release | None = None
    ramp: Ramp = field(default_factory=Ramp)

    def __post_init__(self) -> None:
        check_arms(self.champion, self.challenger, self.ramp)

    def arm(self, name: str) -> Release:
        """The release of an arm."""
        return self.champion if name == CHAMPION or self.challenger is None else self.challenger

    def other(self, name: str) -> tuple[str, Release | None]:
        """The arm that does not decide, if there is one."""
        return (CHALLENGER, self.challenger) if name == CHAMPION else (CHAMPION, self.champion)

    @property
    def facts(self) -> dict[str, object]:
        """What an operator wants to know of it."""
        challenger = self.challenger
        return {
            "release": self.champion.id,
            "stage": self.champion.stage,
            "challenger": None if challenger is None else challenger.id,
            "share": self.ramp.share,
        }


def open_lineup(settings: Settings, share: float | None = None) -> Lineup:
    """Read, verify and warm what the settings name.

    Args:
        settings: the files and the key they have to be signed with.
        share: of the ramp; None: that of the settings.

    Raises:
        UsageError: no such file, or a ramp the verdicts do not allow.
        ReleaseError: altered, not trusted, or not scoring as it did when built.
    """
    challenger = None if settings.challenger is None else _open(settings.challenger, settings.trust)
    ramp = Ramp(settings.ramp if share is None else share, settings.seed)
    return Lineup(_open(settings.release, settings.trust), challenger, ramp)


def _open(path: Path, trust: Path | None) -> Release:
    """One release, from one reading of its file."""
    from riskml.release import archive
    from riskml.release.load import assemble, open_contents
    from riskml.release.verify import verify_bytes

    raw = archive.read_bytes(path)
    result = verify_bytes(raw, trust)
    if not result.ok:
        raise ReleaseError(f"`{path.name}`: {result.problems[0]}", f"`riskml verify {path}` lists what is wrong")
    release = assemble(open_contents(raw, trust))
    release.warm()
    return release


class Changeover:
    """The lineup of a server and its changes, one at a time.

    Args:
        settings: what to read again on a reload.
        lineup: the first one.
        prepare: called off the event loop with a lineup about to be used; what it returns is called on the loop right
            before the swap.
        heard: told of every change, on the loop.
    """

    def __init__(
        self,
        settings: Settings,
        lineup: Lineup,
        prepare: Callable[[Lineup], Callable[[], None]],
        heard: Callable[[str, Lineup], None],
    ) -> None:
        self.settings, self.lineup = settings, lineup
        self.previous: Lineup | None = None
        self._prepare, self._heard = prepare, heard
        self._one = asyncio.Lock()

    async def reload(self) -> Lineup:
        """Read the files again and serve what they hold now; the ramp stays where it is.

        Raises:
            RiskmlError: they cannot be served; what was served goes on.
        """
        async with self._one:
            fresh = await asyncio.to_thread(open_lineup, self.settings, self.lineup.ramp.share)
            return await self._change("reload", fresh)

    async def rollback(self) -> Lineup:
        """Serve what was served before the last change.

        Raises:
            UsageError: nothing was.
        """
        async with self._one:
            if self.previous is None:
                raise UsageError("nothing was served before", "a rollback undoes a reload or a ramp of this process")
            return await self._change("rollback", self.previous)

    async def share(self, share: float) -> Lineup:
        """Let the challenger decide another share of events; 0 ends the ramp.

        Raises:
            UsageError: there is no challenger, or its stage does not allow it.
        """
        async with self._one:
            if share > 0 and self.settings.log is None:
                raise UsageError("a ramp without a decision log cannot be judged later", "start it with --log DIR")
            return await self._change("ramp", replace(self.lineup, ramp=Ramp(share, self.lineup.ramp.seed)))

    async def _change(self, what: str, fresh: Lineup) -> Lineup:
        ready = await asyncio.to_thread(self._prepare, fresh)
        ready()
        self.previous, self.lineup = self.lineup, fresh
        self._heard(what, fresh)
        return fresh
