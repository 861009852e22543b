"""A store that several processes share: a stream of Valkey (or Redis) in one order that all of them apply.

Each event is put into the stream once, by a script that knows ids and lets arrival never go back; what was said of it
is kept beside it, first word first. How safe records are is the server's own setting (``appendfsync``): this module
sends each before anybody is answered. Refuses a server that cannot be reached or has lost what was applied.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from riskml.errors import UsageError
from riskml.serve.store import Appended, Gap

__all__ = ["Valkey"]

DAY_MS = 86_400_000
_BATCH = 512
_APPEND = """
if KEYS[3] then
  local told = redis.call('GET', KEYS[3])
  if told then return {told, 0} end
end
local last, came = redis.call('HGET', KEYS[2], 'arrival'), ARGV[2]
if last and tonumber(last) > tonumber(came) then came = last end
local place = redis.call('HINCRBY', KEYS[2], 'place', 1)
redis.call('HSET', KEYS[2], 'arrival', came)
redis.call('XADD', KEYS[1], place .. '-0', 'r', ARGV[1], 'a', came)
local told = place .. ':' .. came
if KEYS[3] then redis.call('SET', KEYS[3], told, 'PX', ARGV[3]) end
return {told, 1}
"""
_SAVE = """
local held = redis.call('HGET', KEYS[1], 'place')
if held and tonumber(held) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'place', ARGV[1], 'state', ARGV[2])
redis.call('XTRIM', KEYS[2], 'MINID', ARGV[3] .. '-0')
return 1
"""


class Valkey:
    """The stream ``name`` of a server.

    Args:
        url: such as ``valkey://127.0.0.1:6379/0``; ``redis://`` and ``rediss://`` too.
        name: of the stream; servers of one name share it.
        remember_ms: for how long ids, and what was said of them, are known.
        spare: records kept before the newest snapshot, for processes that lag and for new plans.
        timeout: seconds until a server counts as gone.

    Raises:
        UsageError: no client library is installed, or nobody answers.
    """

    shared = True

    def __init__(
        self,
        url: str,
        name: str = "riskml",
        remember_ms: int = 7 * DAY_MS,
        spare: int = 1_000_000,
        timeout: float = 5.0,
    ) -> None:
        self._remember, self._spare = remember_ms, spare
        library, scheme = _library(), url.partition("://")[0]
        if scheme not in _SCHEMES:
            raise UsageError(f"a store is no `{scheme}`", "write valkey://HOST:PORT/0, or rediss:// for TLS")
        self._failure: Any = library.exceptions.RedisError if library.__name__ == "redis" else None
        self._failure = self._failure or library.exceptions.ValkeyError
        client = library.Redis if library.__name__ == "redis" else library.Valkey
        address = url.replace("valkey", "redis", 1) if library.__name__ == "redis" else url
        try:
            self._client = client.from_url(address, socket_timeout=timeout, socket_connect_timeout=timeout)
        except ValueError as error:
            raise UsageError(f"the address of the store cannot be read: {error}", "valkey://HOST:PORT/0") from None
        base = "{" + name + "}"  # one slot of a cluster
        self._log, self._meta, self._snapshot = f"{base}:log", f"{base}:meta", f"{base}:snapshot"
        self._ids, self._answers = f"{base}:id:", f"{base}:answer:"
        self._append = self._client.register_script(_APPEND)
        self._save = self._client.register_script(_SAVE)
        self._call(self._client.ping)

    def append(self, record: bytes, key: str | None = None, arrival: int = 0) -> Appended:
        """Put a record at the end of the stream, unless its key came before; it is there once this returns.

        Raises:
            UsageError: the server cannot be reached.
        """
        keys = [self._log, self._meta, *([self._ids + key] if key is not None else [])]
        told, fresh = self._call(self._append, keys=keys, args=[record, arrival, self._remember])
        place, _, came = told.partition(b":")
        return Appended(int(place), bool(fresh), int(came))

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """Every record after a position, in order, with its own and with when it arrived.

        Raises:
            Gap: some of them are no longer kept.
            UsageError: the server cannot be reached, or has lost records.
        """
        last = self._call(self._client.hget, self._meta, "place")
        if int(last or 0) < after:
            raise UsageError("the store has lost records that were applied", "restart the servers that use it")
        while True:
            found = self._call(self._client.xrange, self._log, f"{after + 1}-0", "+", count=_BATCH)
            for name, fields in found:
                place = int(name.partition(b"-")[0])
                if place != after + 1:
                    raise Gap("the store no longer holds these records", "start from its newest snapshot")
                after = place
                yield place, _stamped(fields[b"r"], fields[b"a"])
            if len(found) < _BATCH:
                if not found and int(last or 0) > after:
                    raise Gap("the store no longer holds these records", "start from its newest snapshot")
                return

    def record(self, position: int) -> bytes | None:
        """The record at a position; None where it is no longer kept."""
        found = self._call(self._client.xrange, self._log, f"{position}-0", f"{position}-0")
        return _stamped(found[0][1][b"r"], found[0][1][b"a"]) if found else None

    def answered(self, position: int) -> bytes | None:
        """What was said of the event at a position; None where nothing was, or it is no longer kept."""
        found: bytes | None = self._call(self._client.get, f"{self._answers}{position}")
        return found

    def answer(self, position: int, record: bytes) -> bytes:
        """Keep what is said of the event at a position; the first word counts and is given back."""
        place = f"{self._answers}{position}"
        former = self._call(self._client.set, place, record, nx=True, get=True, px=self._remember)
        return record if former is None else bytes(former)

    def save(self, position: int, snapshot: bytes) -> None:
        """Keep the state that all records up to a position led to, unless a newer one is kept; old records go."""
        first = max(position - self._spare, 0)
        self._call(self._save, keys=[self._snapshot, self._log], args=[position, snapshot, first])

    def saved(self) -> tuple[int, bytes] | None:
        """The newest snapshot and its position."""
        place, state = self._call(self._client.hmget, self._snapshot, "place", "state")
        return None if place is None or state is None else (int(place), bytes(state))

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def _call(self, work: Callable[..., Any], *given: Any, **more: Any) -> Any:
        try:
            return work(*given, **more)
        except self._failure as error:
            name = type(error).__name__
            raise UsageError(f"the store cannot be used: {name}", "check that it runs and lets you in") from None


_SCHEMES = ("valkey", "valkeys", "redis", "rediss", "unix")


def _library() -> Any:
    """The client library that is installed."""
    for name in ("valkey", "redis"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UsageError("a shared store needs a client library", "pip install 'riskml[valkey]'")


def _stamped(record: bytes, arrival: bytes) -> bytes:
    """The record with when it arrived."""
    return b'%b,"arrival":%b}' % (record[:-1], arrival)
