"""How a release is to be built: what the command line adds to the recipe.

In go the stage, the reason for raising it, the key and what goes beside it; out comes what the record of the stage
remembers of them, so that a release is redone when they change, and a later `run` or `status` takes the one there is
for fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Packaging", "remembered"]

_NAMES = ("stage", "override", "signer", "docker")


@dataclass(frozen=True)
class Packaging:
    """What was asked for: a stage, why it may be above the verdict, a private key, a Dockerfile."""

    stage: str | None = None
    override: str | None = None
    key: bytes | None = None
    docker: bool = False

    def given(self) -> dict[str, str]:
        """Digests by name of what was asked for.

        Raises:
            UsageError: there is no private key in it.
        """
        out = {} if self.stage is None else {"stage": self.stage}
        if self.override is not None:
            out["override"] = hashlib.sha256(self.override.encode("utf-8", "surrogateescape")).hexdigest()
        if self.key is not None:
            from riskml.release.sign import fingerprint, public_of

            out["signer"] = fingerprint(public_of(self.key))
        if self.docker:
            out["docker"] = "1"
        return out


def remembered(feeds: Mapping[str, str]) -> dict[str, str]:
    """What a release was built with, out of what its record says it depended on."""
    return {name: feeds[name] for name in _NAMES if name in feeds}
