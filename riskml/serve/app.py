"""What a server answers: each path with its method, from a request to a reply, in one pass.

In go whole requests; out come decisions that are in the log before anybody hears of them, problem documents for what
cannot be answered, and the counters of both. Scoring takes microseconds, so it runs where the request came in; only a
log that waits for the disk, or a store on another machine, moves it to a thread of its own, one request at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from riskml.errors import DataError, ReleaseError, RiskmlError, UsageError
from riskml.serve.guard import Guard, read_reasons
from riskml.serve.metrics import Metrics
from riskml.serve.openapi import describe
from riskml.serve.ramp import enforced
from riskml.serve.reload import Changeover, Lineup
from riskml.serve.replies import TEXT, Refusal, Reply, answered, encode, problem, refused
from riskml.serve.settings import Settings

if TYPE_CHECKING:
    from riskml.release.load import Decision
    from riskml.serve.decider import Decider
    from riskml.serve.http import Request
    from riskml.serve.store import Store

__all__ = ["App"]

Handler = Callable[["Request"], Reply | Awaitable[Reply]]
_BUSY = b"retry-after: 1\r\n"


class Route(NamedTuple):
    """One path; ``public`` needs no token, ``logged`` may have to wait for the disk."""

    name: str
    methods: Mapping[bytes, Handler]
    public: bool = False
    logged: bool = False


class App:
    """The answers of one server.

    Args:
        settings: what it was told.
        lineup: what it serves first.
        log: where decisions on feature values go; None: nowhere.
        decider: decides on raw events; None where the release does not say what they look like.
        prepare: see ``Changeover``.
        tell: hears what an operator should know, one line at a time.
    """

    def __init__(
        self,
        settings: Settings,
        lineup: Lineup,
        log: Store | None,
        decider: Decider | None,
        prepare: Callable[[Lineup], Callable[[], None]],
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.tell, self.decider = settings, tell, decider
        self.metrics = Metrics()
        self.changeover = Changeover(settings, lineup, prepare, self._changed)
        self.stopping = False
        self.connections: Callable[[], int] = lambda: 0
        self._log, self._log_fails = log, False
        self._guard = Guard(settings.token, settings.limits)
        self._started = time.time()
        waits = settings.sync == "always" or settings.store is not None
        self._pool = ThreadPoolExecutor(1, "riskml-log") if waits and (log or decider) else None
        self._routes = self._make_routes()
        self._note("start", lineup)

    def _make_routes(self) -> dict[bytes, Route]:
        routes = {
            b"/score": Route("/score", {b"POST": self._score}, logged=True),
            b"/health": Route("/health", _read(self._health), public=True),
            b"/ready": Route("/ready", _read(self._ready), public=True),
            b"/metrics": Route("/metrics", _read(self._metrics)),
            b"/openapi.json": Route("/openapi.json", _read(self._openapi)),
            b"/reload": Route("/reload", {b"POST": self._reload}),
            b"/rollback": Route("/rollback", {b"POST": self._rollback}),
            b"/ramp": Route("/ramp", {b"POST": self._ramp}),
        }
        if self.decider is not None:
            routes[b"/decide"] = Route("/decide", {b"POST": self._decide}, logged=True)
            routes[b"/events"] = Route("/events", {b"POST": self._events}, logged=True)
        return routes

    # -- what the connections call -------------------------------------------------------------------------------

    def room(self, path: bytes) -> int:
        """Most bytes that a body sent to a path may have."""
        return self.settings.limits.batch if path == b"/events" else self.settings.limits.body

    def turned_away(self, reason: str) -> None:
        """Count a connection or request that was refused before it was whole."""
        self.metrics.event("turned_away", reason)

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """The answer, at once or later; whatever goes wrong has a status."""
        began = time.perf_counter()
        route = self._routes.get(request.path)
        try:
            if route is None:
                raise Refusal(404, "there is no such path", "/openapi.json lists them")
            if not route.public:
                self._guard.admit(request.token)
            handler = route.methods.get(request.method)
            if handler is None:
                allowed = b", ".join(route.methods)
                hint = f"use {allowed.decode()}"
                raise Refusal(405, f"{route.name} takes another method", hint, b"allow: " + allowed + b"\r\n")
            if self._pool is not None and route.logged:
                reply = asyncio.get_running_loop().run_in_executor(self._pool, handler, request)
            else:
                reply = handler(request)  # type: ignore[assignment]
        except Exception as error:
            reply = self._failed(error)  # type: ignore[assignment]
        name = "other" if route is None else route.name
        if isinstance(reply, Reply):
            self.metrics.request(name, reply.status, time.perf_counter() - began)
            return reply
        return self._later(name, reply, began)

    async def _later(self, name: str, answer: Awaitable[Any], began: float) -> Reply:
        try:
            reply: Reply = await answer
        except Exception as error:
            reply = self._failed(error)
        self.metrics.request(name, reply.status, time.perf_counter() - began)
        return reply

    def _failed(self, error: Exception) -> Reply:
        """The status and the words for what went wrong."""
        if isinstance(error, Refusal):
            return refused(error)
        if isinstance(error, DataError):
            return problem(422, error.message, error.hint)
        if isinstance(error, RiskmlError):
            self.metrics.event("unanswered", type(error).__name__)
            self.tell(f"error: {error.message}")
            return problem(503, error.message, error.hint, _BUSY)
        self.metrics.event("unanswered", "bug")
        self.tell(f"this is a bug in riskml: {type(error).__name__}: {error}")
        return problem(500, "this is a bug in riskml", "please report it with the server's own words")

    # -- decisions -----------------------------------------------------------------------------------------------

    def _score(self, request: Request) -> Reply:
        """Decide on feature values."""
        settings, lineup = self.settings, self.changeover.lineup
        row = self._guard.row(request.body, request.kind)
        reasons = read_reasons(request.query, settings.reasons, settings.limits.reasons)
        key = lineup.champion.scorer.inputs.event_id
        arm, chance = lineup.ramp.choose(None if key is None else row.get(key))
        decision = lineup.arm(arm).score(row, reasons)
        body = encode(self._said(decision, decision.event, arm, chance, "/score"))
        if self._log is not None:
            beside = b"[]" if lineup.challenger is None else encode(self._beside(lineup, arm, row))
            event = encode(row) if b"\n" in request.body or b"\r" in request.body else request.body.strip()
            record = b'{"kind":"score","arrival":%d,"event":%b,%b,"shadow":%b}'
            self._append(record % (_now(), event, body[1:-1], beside))
        return Reply(200, body)

    def _said(self, decision: Decision, event: object, arm: str, chance: float, route: str) -> dict[str, object]:
        action = enforced(decision.action, decision.stage)
        self.metrics.decision(route, arm, action, decision.action, decision.probability)
        return {
            "id": event,
            "action": action,
            "would": decision.action,
            "probability": decision.probability,
            "margin": decision.margin,
            "reasons": [{"feature": one.feature, "contribution": one.contribution} for one in decision.reasons],
            "missing": decision.missing,
            "stage": decision.stage,
            "release": decision.release,
            "plan": decision.plan,
            "arm": arm,
            "propensity": chance,
        }

    def _beside(self, lineup: Lineup, arm: str, row: Mapping[str, Any]) -> list[dict[str, object]]:
        """What the release that does not decide says; its failure is recorded and stops nothing."""
        name, other = lineup.other(arm)
        if other is None:
            return []
        try:
            said = other.score(row, 0)
        except Exception as error:
            self.metrics.event("shadow", "failed")
            return [{"arm": name, "release": other.id, "error": str(error)[:200]}]
        facts = {"margin": said.margin, "probability": said.probability, "action": said.action}
        return [{"arm": name, **facts, "missing": said.missing, "release": said.release, "stage": said.stage}]

    def _append(self, record: bytes) -> None:
        """Write a record before anybody is answered."""
        assert self._log is not None
        try:
            self._log.append(record)
        except UsageError:
            self._log_fails = True
            raise
        self._log_fails = False

    def _decide(self, request: Request) -> Reply:
        """Decide on a raw event."""
        assert self.decider is not None
        row = self._guard.row(request.body, request.kind)
        if request.query:
            raise Refusal(422, "/decide takes no parameters", "leave the query out")
        answer = self._kept(self.decider.decide, row)
        said = self._said(answer.decision, answer.event_id, answer.arm, answer.propensity, "/decide")
        said |= {"time": answer.time, "arrival": answer.arrival, "late": answer.late}
        return answered(said | {"duplicate": answer.duplicate, "position": answer.position})

    def _events(self, request: Request) -> Reply:
        """Take in rows that are no decisions; those before a bad one stay."""
        assert self.decider is not None
        source, rows = self._guard.observation(request.body, request.kind)
        duplicates = 0
        for taken, row in enumerate(rows):
            try:
                duplicates += self._kept(self.decider.observe, source, row).duplicate
            except DataError as error:
                return problem(422, error.message, error.hint, taken=taken)
        return answered({"taken": len(rows), "duplicates": duplicates})

    def _kept(self, work: Callable[..., Any], *given: Any) -> Any:
        try:
            done = work(*given)
        except UsageError:
            self._log_fails = True
            raise
        self._log_fails = False
        return done

    # -- state ---------------------------------------------------------------------------------------------------

    def _health(self, request: Request) -> Reply:
        return answered({"status": "ok"})

    def _ready(self, request: Request) -> Reply:
        if self.stopping:
            return problem(503, "the server is stopping", "", _BUSY)
        if self._log_fails:
            return problem(503, "the log cannot be written", "", _BUSY)
        return answered({"status": "ready", **self.changeover.lineup.facts})

    def _openapi(self, request: Request) -> Reply:
        return answered(describe(self.changeover.lineup.champion, self.settings, self.decider is not None))

    def _metrics(self, request: Request) -> Reply:
        lineup = self.changeover.lineup
        info = {"riskml_release": _labels(lineup.champion)}
        if lineup.challenger is not None:
            info["riskml_challenger"] = _labels(lineup.challenger)
        gauges: dict[str, float] = {
            "riskml_connections": self.connections(),
            "riskml_ramp_share": lineup.ramp.share,
            "riskml_ready": float(not self.stopping and not self._log_fails),
            "riskml_start_time_seconds": self._started,
            "process_cpu_seconds_total": time.process_time(),
        }
        if self.decider is not None:
            gauges |= {f"riskml_decider_{name}": float(value) for name, value in self.decider.counters().items()}
        return Reply(200, self.metrics.render(info, gauges), TEXT)

    # -- changes -------------------------------------------------------------------------------------------------

    async def reload(self) -> None:
        """Reload, as SIGHUP asks: the outcome is told and counted."""
        try:
            await self.changeover.reload()
        except RiskmlError as error:
            self._refused_change("reload", error)

    def _reload(self, request: Request) -> Awaitable[Reply]:
        return self._change("reload", self.changeover.reload)

    def _rollback(self, request: Request) -> Awaitable[Reply]:
        return self._change("rollback", self.changeover.rollback)

    def _ramp(self, request: Request) -> Awaitable[Reply]:
        self._guard.admit_operator()
        share = self._guard.share(request.body, request.kind)
        return self._change("ramp", lambda: self.changeover.share(share))

    def _change(self, what: str, work: Callable[[], Awaitable[Lineup]]) -> Awaitable[Reply]:
        self._guard.admit_operator()

        async def change() -> Reply:
            try:
                lineup = await work()
            except (ReleaseError, UsageError, DataError) as error:
                self._refused_change(what, error)
                return problem(409, error.message, error.hint)
            return answered({"status": "ready", **lineup.facts})

        return change()

    def _refused_change(self, what: str, error: RiskmlError) -> None:
        self.metrics.event(what, "refused")
        self.tell(f"{what} refused, {self.changeover.lineup.champion.id} goes on: {error.message}")

    def _changed(self, what: str, lineup: Lineup) -> None:
        self.metrics.event(what, "done")
        self._note(what, lineup)

    def _note(self, what: str, lineup: Lineup) -> None:
        """Write into the log what is served from now on."""
        facts = lineup.facts
        share = f", {facts['challenger']} decides {lineup.ramp.share:.4g} of events" if lineup.ramp.share else ""
        self.tell(f"{what}: {facts['release']} ({facts['stage']}){share}")
        if self._log is not None:
            self._append(encode({"kind": "change", "arrival": _now(), "change": what, **facts}))

    async def snapshot(self) -> None:
        """Save the state of raw events; where that fails, decisions go on."""
        if self.decider is None:
            return
        try:
            await asyncio.to_thread(self.decider.snapshot)
            self.metrics.event("snapshot", "done")
        except RiskmlError as error:
            self.metrics.event("snapshot", "failed")
            self.tell(f"no snapshot: {error.message}")

    def close(self) -> None:
        """Finish what waits, then make the log and the state safe."""
        if self._pool is not None:
            self._pool.shutdown()
        if self.decider is not None:
            try:
                self.decider.snapshot()
            except RiskmlError as error:  # the log holds everything: the next start takes longer, that is all
                self.tell(f"no snapshot: {error.message}")
            self.decider.close()
        if self._log is not None:
            self._log.close()


def _read(handler: Handler) -> dict[bytes, Handler]:
    return {b"GET": handler, b"HEAD": handler}


def _labels(release: Any) -> dict[str, str]:
    return {"release": release.id, "stage": release.stage, "plan": release.scorer.model.plan.digest[:12]}


def _now() -> int:
    return time.time_ns() // 1000
