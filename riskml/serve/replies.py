"""What goes back over the wire: a status, a body and its kind; errors as problem documents (RFC 9457) with a hint.

In come finished values or an error; out come bytes. It never looks at a request.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

import msgspec

from riskml.errors import RiskmlError

__all__ = ["JSON", "PROBLEM", "Refusal", "Reply", "answered", "problem", "refused"]

JSON, PROBLEM, TEXT = b"application/json", b"application/problem+json", b"text/plain; version=0.0.4; charset=utf-8"

encode = msgspec.json.Encoder().encode


class Reply(NamedTuple):
    """One answer; ``extra`` holds whole further header lines, each ended by CR LF."""

    status: int
    body: bytes
    kind: bytes = JSON
    extra: bytes = b""


class Refusal(RiskmlError):
    """A request that gets no answer but a reason: the status goes with the message and the hint."""

    def __init__(self, status: int, message: str, hint: str = "", extra: bytes = b"") -> None:
        super().__init__(message, hint)
        self.status = status
        self.extra = extra


def answered(value: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, encode(value))


def problem(status: int, message: str, hint: str = "", extra: bytes = b"", **more: object) -> Reply:
    """A problem document: what is wrong in ``detail``, what to do in ``hint``."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": message}
    if hint:
        body["hint"] = hint
    return Reply(status, encode(body | more), PROBLEM, extra)


def refused(refusal: Refusal) -> Reply:
    """The problem document of a refusal."""
    return problem(refusal.status, refusal.message, refusal.hint, refusal.extra)
