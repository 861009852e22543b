"""HTTP/1.1 over one event loop: bytes of a connection in, one answer per request out, in order.

llhttp (by way of httptools) parses, so what is ambiguous is refused there; this module bounds what a caller may send
and how long it may take: heads, bodies, connections, slow senders and slow readers. A refused request gets its status
and the connection is closed. It knows nothing of what is answered.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable
from email.utils import formatdate
from heapq import nsmallest
from http import HTTPStatus
from typing import NamedTuple, Protocol

import httptools

from riskml.serve.replies import Reply, problem
from riskml.serve.settings import Limits

__all__ = ["Hall", "Request", "Service", "Wire"]

IDLE, HEAD, BODY, BUSY, BLOCKED, REFUSED = range(6)  # what a connection is at
SWEEP = 0.5  # seconds between two looks at the clocks of all connections
LINGER = 2.0  # seconds for which a refused caller may go on sending before the connection is cut
EVICTED = 64  # idle connections closed at once where there are too many
LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request(NamedTuple):
    """One whole request; ``kind`` is its media type, ``token`` its Authorization header."""

    method: bytes
    path: bytes
    query: bytes
    kind: bytes
    token: bytes
    body: bytes


class Service(Protocol):
    """What answers."""

    def room(self, path: bytes) -> int:
        """Most bytes that a body sent to a path may have."""
        ...

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """The answer, at once or later; raises nothing."""
        ...

    def turned_away(self, reason: str) -> None:
        """Hear of a connection or request that was refused before anybody could answer."""
        ...


class Hall:
    """All connections of one server and their clocks."""

    def __init__(self, service: Service, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.service, self.limits, self.loop = service, limits, loop
        self.wires: set[Wire] = set()
        self.closing = False
        self.date = b""
        self._allowed = {
            IDLE: limits.idle_seconds,
            HEAD: limits.head_seconds,
            BODY: limits.body_seconds,
            BUSY: math.inf,
            BLOCKED: limits.body_seconds,
            REFUSED: LINGER,
        }
        self._timer: asyncio.TimerHandle | None = None
        self.sweep()

    def enter(self, wire: Wire) -> None:
        """Take a connection in; the ones idle longest go where there are too many."""
        if len(self.wires) >= self.limits.connections:
            waiting = [one for one in self.wires if one.state in (IDLE, HEAD, REFUSED)]
            for one in nsmallest(EVICTED, waiting, key=lambda one: one.since):
                self.service.turned_away("evicted")
                one.abort()
        self.wires.add(wire)
        if len(self.wires) > self.limits.connections:
            wire.refuse(_TOO_MANY)

    def sweep(self) -> None:
        """Close what took too long, and set the date of the next answers."""
        self._timer = self.loop.call_later(SWEEP, self.sweep)
        self.date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
        now = self.loop.time()
        for wire in [one for one in self.wires if now - one.since > self._allowed[one.state]]:
            wire.expire()

    def leave(self) -> None:
        """Close every connection on which nothing is under way; the others close after their answer."""
        self.closing = True
        for wire in list(self.wires):
            if wire.state == IDLE or wire.silent:
                wire.close()

    def stop(self) -> None:
        """Cut every connection that is left."""
        if self._timer is not None:
            self._timer.cancel()
        for wire in list(self.wires):
            wire.abort()


class Wire(asyncio.Protocol):
    """One connection; ``state`` says what it is at, ``since`` from when."""

    __slots__ = (
        "_body",
        "_deaf",
        "_expects",
        "_fed",
        "_hall",
        "_head",
        "_keep",
        "_kind",
        "_parser",
        "_queue",
        "_resume",
        "_room",
        "_task",
        "_token",
        "_transport",
        "_url",
        "since",
        "state",
    )

    _transport: asyncio.Transport

    def __init__(self, hall: Hall) -> None:
        self._hall = hall
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[Request | Reply, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._resume = IDLE
        self._fed = 0
        self._deaf = False
        self._clear()
        self.state, self.since = HEAD, hall.loop.time()

    def _clear(self) -> None:
        self._url = self._kind = self._token = b""
        self._body: list[bytes] = []
        self._head = self._room = 0
        self._expects = self._keep = False

    # -- what asyncio calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller connected."""
        self._transport = transport  # type: ignore[assignment]
        self._hall.enter(self)

    def connection_lost(self, error: Exception | None) -> None:
        """The caller is gone; an answer under way is finished for the log and goes nowhere."""
        self._hall.wires.discard(self)
        self._queue.clear()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # it was answered as if it had not asked; what follows is another language
            self._deaf = True
            if self.state not in (BUSY, BLOCKED):
                self._end()
        except httptools.HttpParserError:
            self.refuse(_UNREADABLE)
        else:
            self._fed += len(data)
            if self.state == HEAD and self._fed > self._hall.limits.head:
                self.refuse(_TOO_LONG)

    def eof_received(self) -> bool:
        """The caller sends no more; answers under way still go out."""
        self._deaf = True
        return self.state in (BUSY, BLOCKED)

    def pause_writing(self) -> None:
        """The caller does not read its answers: take no more requests until it does."""
        if self.state not in (BLOCKED, REFUSED):
            self._resume = self.state
            self._enter(BLOCKED)
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The caller reads again."""
        if self.state == BLOCKED:
            self._enter(self._resume)
            self._advance()

    # -- what the parser calls -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._deaf:
            return
        self._clear()
        self._fed = 0
        if self.state == IDLE:
            self._enter(HEAD)

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._head += len(name) + len(value) + 4
        name = name.lower()
        if name == b"content-type":
            self._kind = value
        elif name == b"authorization":
            self._token = value
        elif name == b"content-length":
            self._room = int(value) if value.isdigit() and len(value) < 19 else 1 << 62
        elif name == b"expect":
            self._expects = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        """All headers are in: refuse what is too large before it is sent."""
        if self._deaf:
            return
        if self._head + len(self._url) > self._hall.limits.head:
            self.refuse(_TOO_LONG)
            return
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            self.refuse(_UNREADABLE)
            return
        self._keep = version == "1.1" and self._parser.should_keep_alive()
        path, _, _ = self._url.partition(b"?")
        declared, self._room = self._room, self._hall.service.room(path)
        if declared > self._room:
            self.refuse(_too_large(self._room))
            return
        if self.state == HEAD:
            self._enter(BODY)
        if self._expects and declared and self.state == BODY:
            self._transport.write(CONTINUE)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._deaf:
            return
        self._body.append(data)
        self._room -= len(data)
        if self._room < 0:
            self.refuse(_too_large(self._hall.service.room(self._url.partition(b"?")[0])))

    def on_message_complete(self) -> None:
        """A request is whole."""
        if self._deaf:
            return
        path, _, query = self._url.partition(b"?")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(self._parser.get_method(), path, query, self._kind, self._token, body)
        if self._queue or self.state in (BUSY, BLOCKED):
            self._queue.append((request, self._keep))
        else:
            self._serve(request, self._keep)

    # -- answering -----------------------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Whether nothing came in since the caller connected."""
        return self.state == HEAD and self._fed == 0 and not self._url

    def refuse(self, reply: Reply) -> None:
        """Answer what is wrong, after what was asked before, and hear no more of this caller."""
        if self._deaf or self._transport.is_closing():
            return
        self._deaf = True
        self._hall.service.turned_away(str(reply.status))
        if self._queue or self.state in (BUSY, BLOCKED):
            self._queue.append((reply, False))
        else:
            self._reply(reply, keep=False)

    def _serve(self, request: Request | Reply, keep: bool) -> None:
        answer = request if isinstance(request, Reply) else self._hall.service.answer(request)
        bare = isinstance(request, Request) and request.method == b"HEAD"
        if isinstance(answer, Reply):
            self._reply(answer, keep, bare)
            return
        self._enter(BUSY)
        self._transport.pause_reading()
        self._task = self._hall.loop.create_task(self._later(answer, keep, bare))

    async def _later(self, answer: Awaitable[Reply], keep: bool, bare: bool) -> None:
        reply = await answer
        if not self._transport.is_closing():
            self._reply(reply, keep, bare)
            self._advance()

    def _advance(self) -> None:
        """Take up what waited, or listen again."""
        while self._queue and self.state == IDLE:
            self._serve(*self._queue.popleft())
        if self.state not in (BUSY, BLOCKED, REFUSED) and not self._transport.is_closing():
            self._transport.resume_reading()

    def _reply(self, reply: Reply, keep: bool, bare: bool = False) -> None:
        keep = keep and not self._hall.closing and (not self._deaf or bool(self._queue))
        status, body, kind, extra = reply
        self._transport.write(
            b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b"
            % (
                LINES[status],
                self._hall.date,
                kind,
                len(body),
                extra,
                b"" if keep else b"connection: close\r\n",
                b"" if bare else body,
            )
        )
        if not keep:
            self._end()
        elif self.state == BLOCKED:
            self._resume = IDLE
        else:
            self._enter(IDLE)

    def _enter(self, state: int) -> None:
        self.state, self.since = state, self._hall.loop.time()

    def _end(self) -> None:
        """Close, but let a caller that still sends read the answer first: closing at once would reset it."""
        if self.state == REFUSED or self._transport.is_closing():
            return
        self._enter(REFUSED)
        self._deaf = True
        self._queue.clear()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def expire(self) -> None:
        """A clock ran out."""
        if self.state in (HEAD, BODY) and not self.silent:
            self.refuse(_TOO_SLOW)
        elif self.state in (BLOCKED, REFUSED):
            self.abort()
        else:
            self._hall.service.turned_away("idle")
            self.close()

    def close(self) -> None:
        """Send what is left to send, then close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._hall.wires.discard(self)
        self._transport.abort()


def _too_large(room: int) -> Reply:
    return problem(413, f"the body is larger than {room:,} bytes", "send one event at a time")


_TOO_LONG = problem(431, "the headers are too long", "send fewer headers, or a shorter target")
_TOO_SLOW = problem(408, "the request took too long to arrive", "send it whole, on a new connection")
_TOO_MANY = problem(503, "too many connections are open", "try again, or start more servers", b"retry-after: 1\r\n")
_UNREADABLE = problem(400, "this is no HTTP/1.1 request", "check what stands between the caller and this server")
