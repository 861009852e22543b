"""How a server is set up: where it listens, what it serves beside what, where it logs, and what it will not take.

In go the options of ``riskml serve`` and a token from a file or the environment; out come frozen settings that were
checked once. Refuses a share without a challenger, a public address without a token, and a token that is too short.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from riskml.errors import UsageError, near_matches

__all__ = ["TOKEN", "Limits", "Settings", "read_limits", "read_token"]

TOKEN = "RISKML_TOKEN"  # the environment variable
SHORTEST = 16  # characters of a token
Sync = Literal["always", "interval", "never"]


@dataclass(frozen=True)
class Limits:
    """What one server takes; sizes in bytes, times in seconds.

    Args:
        body: of one event.
        batch: of one body of /events, which may hold several rows.
        rows: of one body of /events.
        head: request line and headers together.
        connections: at once; above it the one that was idle longest is closed.
        head_seconds: from the first byte, or from connecting, to the end of the headers.
        body_seconds: from there to the end of the body; also how long an answer may stay unread.
        idle_seconds: between two requests of a connection.
        linger_seconds: after a signal to stop, how long new requests are still answered while /ready says no.
        drain_seconds: how long a request under way may then take.
        reasons: most that a request may ask for.
        snapshot_seconds: between two snapshots of the state; 0 saves it at the end alone.
    """

    body: int = 64 << 10
    batch: int = 1 << 20
    rows: int = 1_000
    head: int = 16 << 10
    connections: int = 4_096
    head_seconds: float = 10.0
    body_seconds: float = 10.0
    idle_seconds: float = 75.0
    linger_seconds: float = 1.0
    drain_seconds: float = 10.0
    reasons: int = 20
    snapshot_seconds: float = 300.0


@dataclass(frozen=True)
class Settings:
    """One server.

    Args:
        release: the champion's file; read again on a reload, as are the next two.
        challenger: scored beside it.
        trust: public key that both have to be signed with.
        host: an address of this machine.
        port: 0 takes a free one.
        log: folder of the decision log; None keeps none.
        store: URL of a state store for several workers; None: the log.
        sync: when the disk is told to keep the log.
        ramp: share of events that the challenger decides.
        seed: of that share; another seed picks other events.
        token: what callers have to show; None: nothing.
        reasons: how many an answer holds unless the caller says otherwise.
        limits: what is not taken.

    Raises:
        UsageError: these do not fit together.
    """

    release: Path
    challenger: Path | None = None
    trust: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    log: Path | None = None
    store: str | None = None
    sync: Sync = "interval"
    ramp: float = 0.0
    seed: int = 0
    token: str | None = field(default=None, repr=False)
    reasons: int = 3
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0.0 <= self.ramp <= 1.0:
            raise UsageError(f"--ramp is a share between 0 and 1, not {self.ramp:g}", "write 0.05 for 5 %")
        if self.ramp > 0 and self.challenger is None:
            raise UsageError("--ramp shares events with a challenger", "name it with --challenger RELEASE")
        if self.ramp > 0 and self.log is None:
            raise UsageError("a ramp without a decision log cannot be judged later", "add --log DIR")
        if not 0 <= self.reasons <= self.limits.reasons:
            raise UsageError(f"an answer holds 0 to {self.limits.reasons} reasons, not {self.reasons}")
        if self.token is None and not is_loopback(self.host):
            message = f"anyone who reaches {self.host} could ask and reload this server"
            raise UsageError(message, f"give --token-file FILE or set {TOKEN}, or listen on 127.0.0.1")


def read_limits(words: Sequence[str]) -> Limits:
    """The limits with some of them changed, each written ``name=value``.

    Raises:
        UsageError: there is no such limit, or its value is none.
    """
    known: dict[str, Any] = {one.name: type(one.default) for one in fields(Limits)}
    changed: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in known:
            hint = near_matches(name, known) or f"known: {', '.join(known)}"
            raise UsageError(f"there is no limit `{name}`", hint)
        try:
            value = known[name](text)
        except ValueError:
            value = -1
        if not 0 <= value < 1 << 40:
            raise UsageError(f"the limit `{name}` is no {known[name].__name__}: `{text}`", f"write {name}=VALUE")
        changed[name] = value
    return Limits(**changed)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The token of a file, else of the environment; None where neither is given.

    Raises:
        UsageError: the file cannot be read, or the token is short or holds what no header may.
    """
    if path is None:
        text, where = environ.get(TOKEN), TOKEN
    else:
        try:
            text, where = path.read_text(encoding="ascii"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot read the token in {path}: {getattr(error, 'strerror', None) or error}"
            raise UsageError(message, "check the path, and that the file is plain text") from None
    if text is None:
        return None
    token = text.strip()
    if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        message = f"the token in {where} is no token: at least {SHORTEST} printable characters without blanks"
        raise UsageError(message, "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'")
    return token
