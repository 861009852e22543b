"""What a request must show before anybody works on it: the right token, JSON of the right kind, depth and size.

In come header values and body bytes; out come flat rows. Refuses, with the status that says why, a wrong token (401),
another media type (415), text that is no JSON (400), and values that are no rows (422). Tokens are compared in constant
time.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from riskml.serve.replies import Refusal
from riskml.serve.settings import Limits

__all__ = ["Guard", "Observation", "read_reasons"]

Scalar = None | bool | int | float | str
_ROW = msgspec.json.Decoder(dict[str, Scalar | list[Scalar]])
_CHALLENGE = b'www-authenticate: Bearer realm="riskml"\r\n'
_TYPES = (b"", b"application/json")


class Observation(msgspec.Struct, forbid_unknown_fields=True):
    """A body of /events: rows of one stream."""

    source: str
    row: dict[str, Scalar | list[Scalar]] | None = None
    rows: list[dict[str, Scalar | list[Scalar]]] | None = None


class Share(msgspec.Struct, forbid_unknown_fields=True):
    """A body of /ramp."""

    share: float


_OBSERVATION = msgspec.json.Decoder(Observation)
_SHARE = msgspec.json.Decoder(Share)


class Guard:
    """The checks of one server; ``token`` None lets everybody ask, and nobody change anything."""

    def __init__(self, token: str | None, limits: Limits) -> None:
        self._expected = None if token is None else b"Bearer " + token.encode("ascii")
        self._limits = limits

    def admit(self, shown: bytes) -> None:
        """Let a caller in.

        Raises:
            Refusal: 401.
        """
        if self._expected is None:
            return
        scheme, _, rest = shown.partition(b" ")
        if not hmac.compare_digest(scheme.capitalize() + b" " + rest.strip(), self._expected):
            raise Refusal(401, "the token is missing or wrong", "send `Authorization: Bearer TOKEN`", _CHALLENGE)

    def admit_operator(self) -> None:
        """Let a caller, who showed the token, change what is served.

        Raises:
            Refusal: 403, where there is no token.
        """
        if self._expected is None:
            message = "this server has no token, so nobody may change it over the wire"
            raise Refusal(403, message, "start it with --token-file, or send the process SIGHUP to reload")

    def row(self, body: bytes, kind: bytes) -> dict[str, Any]:
        """One event: names and plain values.

        Raises:
            Refusal: 400, 415 or 422.
        """
        row: dict[str, Any] = self._read(_ROW, body, kind, "an event is one JSON object of plain values")
        return row

    def observation(self, body: bytes, kind: bytes) -> tuple[str, list[dict[str, Any]]]:
        """The source and the rows of a body of /events.

        Raises:
            Refusal: 400, 413, 415 or 422.
        """
        read: Observation = self._read(_OBSERVATION, body, kind, 'write {"source": "logins", "row": {…}}')
        if (read.row is None) == (read.rows is None):
            raise Refusal(422, "give `row` or `rows`, one of the two", "`rows` takes a list")
        rows = [read.row] if read.row is not None else read.rows or []
        if len(rows) > self._limits.rows:
            raise Refusal(413, f"{len(rows):,} rows at once; {self._limits.rows:,} are taken", "send them in parts")
        return read.source, rows

    def share(self, body: bytes, kind: bytes) -> float:
        """The share in a body of /ramp.

        Raises:
            Refusal: 400, 415 or 422.
        """
        share: float = self._read(_SHARE, body, kind, 'write {"share": 0.05}').share
        if not 0.0 <= share <= 1.0:
            raise Refusal(422, f"a share lies between 0 and 1, not {share:g}", "write 0.05 for 5 %")
        return share

    def _read(self, decoder: Any, body: bytes, kind: bytes, hint: str) -> Any:
        if kind.partition(b";")[0].strip().lower() not in _TYPES:
            raise Refusal(415, "the body is of another kind", "send `Content-Type: application/json`")
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise Refusal(422, str(error), hint) from None
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise Refusal(400, f"the body is no JSON: {error}", hint) from None


@lru_cache(maxsize=64)  # callers ask for the same few numbers over and over
def read_reasons(query: bytes, default: int, most: int) -> int:
    """How many reasons a query asks for: ``reasons=N``.

    Raises:
        Refusal: 422, for anything else.
    """
    if not query:
        return default
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        raise Refusal(422, "the query cannot be read", "the one parameter is `reasons`") from None
    for name, _ in pairs:
        if name != "reasons":
            raise Refusal(422, f"there is no parameter `{name[:40]}`", "the one parameter is `reasons`")
    values = {value for _, value in pairs}
    word = values.pop()
    if values or not (word.isascii() and word.isdigit() and len(word) <= 3 and int(word) <= most):
        raise Refusal(422, f"`reasons` is a whole number from 0 to {most}", "0 saves time")
    return int(word)
