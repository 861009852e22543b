"""One running server: from settings to a listening socket, until a signal ends it without losing an answer.

In go settings; out come answers. SIGTERM and SIGINT let /ready say no, go on for a moment, take no more connections,
wait for what is under way, then save the state; SIGHUP reloads the release. Refuses an address it cannot listen on.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from riskml.errors import UsageError
from riskml.serve.app import App
from riskml.serve.http import Hall, Wire
from riskml.serve.ramp import CHALLENGER
from riskml.serve.reload import Lineup, open_lineup
from riskml.serve.settings import Settings

if TYPE_CHECKING:
    from riskml.release.load import Release
    from riskml.serve.decider import Decider
    from riskml.serve.store import Store

__all__ = ["serve"]

BACKLOG = 2048  # connections that wait to be taken


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until a signal says stop.

    Args:
        settings: what to serve, and where.
        tell: hears what an operator should know, one line at a time; the first line says where the server listens.

    Raises:
        RiskmlError: the release cannot be served, or the address or the log is taken.
    """
    lineup = open_lineup(settings)
    with _listen(settings) as listener:
        _allow_files(settings.limits.connections)
        with asyncio.Runner(loop_factory=_loop()) as runner:
            runner.run(_run(settings, lineup, listener, tell))


async def _run(settings: Settings, lineup: Lineup, listener: socket.socket, tell: Callable[[str], None]) -> None:
    decider = _decider(settings, lineup, tell)
    app = App(settings, lineup, _log(settings), decider, lambda fresh: _exchange(decider, fresh), tell)
    loop = asyncio.get_running_loop()
    hall = Hall(app, settings.limits, loop)
    app.connections = lambda: len(hall.wires)
    stop = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(loop.create_task(app.reload())))
    gc.collect()
    gc.freeze()  # the release stays: no collection has to look at it again
    keeper = loop.create_task(_keep(app, settings.limits.snapshot_seconds))
    server = await loop.create_server(lambda: Wire(hall), sock=listener, backlog=BACKLOG)
    host, port = listener.getsockname()[:2]
    tell(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        await stop.wait()
        await _drain(app, hall, server, settings)
    finally:
        keeper.cancel()
        hall.stop()
        app.close()
    tell("stopped")


async def _drain(app: App, hall: Hall, server: asyncio.Server, settings: Settings) -> None:
    """Say no to probes, answer what still comes, then wait for what is under way."""
    app.stopping = hall.closing = True
    await asyncio.sleep(settings.limits.linger_seconds)
    server.close()
    hall.leave()
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.limits.drain_seconds):
            while hall.wires:
                await asyncio.sleep(0.02)


def _log(settings: Settings) -> Store | None:
    """Where decisions on feature values go: beside the log of raw events, which has its own readers."""
    if settings.log is None:
        return None
    from riskml.serve.journal import Journal

    return Journal(settings.log / "scores", sync=settings.sync)


def _decider(settings: Settings, lineup: Lineup, tell: Callable[[str], None]) -> Decider | None:
    """What decides on raw events; None where the release does not say what they look like.

    Raises:
        UsageError: the log or the store is taken, or there is none there.
    """
    if "online.json" not in lineup.champion.files:
        tell("no /decide and /events: the release does not say what raw events look like")
        return None
    from riskml.serve.decider import Decider

    return Decider(
        lineup.champion,
        _store(settings, lineup.champion.manifest.name),
        challengers=_challengers(lineup),
        choose=lineup.ramp.choose,
        reasons=settings.reasons,
        log=_own_log(settings),
    )


def _own_log(settings: Settings) -> Store | None:
    """Where this process keeps what it said, beside what it shares with others."""
    if settings.store is None or settings.log is None:
        return None
    from riskml.serve.journal import Journal

    return Journal(settings.log, sync=settings.sync)


def _store(settings: Settings, name: str) -> Store:
    """Where raw events and decisions go: what several workers share, the log, or memory where there is neither."""
    from riskml.serve.journal import Journal
    from riskml.serve.store import Memory

    if settings.store is not None:
        from riskml.serve.valkey import Valkey

        return Valkey(settings.store, f"riskml.{name}")
    return Memory() if settings.log is None else Journal(settings.log, sync=settings.sync)


def _challengers(lineup: Lineup) -> dict[str, Release]:
    return {} if lineup.challenger is None else {CHALLENGER: lineup.challenger}


def _exchange(decider: Decider | None, lineup: Lineup) -> Callable[[], None]:
    """Bring a decider to the state that another lineup needs; calling what comes back makes it use it."""
    if decider is None:
        return lambda: None
    return decider.prepare(lineup.champion, _challengers(lineup), lineup.ramp.choose)


async def _keep(app: App, seconds: float) -> None:
    """Save the state now and then, so that a restart is short."""
    while seconds > 0:
        await asyncio.sleep(seconds)
        await app.snapshot()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except (OSError, OverflowError) as error:
        listener.close()
        what = getattr(error, "strerror", None) or error
        message = f"cannot listen on {settings.host}, port {settings.port}: {what}"
        raise UsageError(message, "choose another --port, or 0 for a free one") from None
    return listener


def _allow_files(connections: int) -> None:
    """Let the process open as many files as it takes connections, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop
