"""What a server counted, as Prometheus reads it (text format 0.0.4).

In go requests, decisions and durations, one cheap call each; out comes one text. Labels hold routes, statuses, arms and
actions alone: never an id, a value or a reason of an event.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

__all__ = ["Histogram", "Metrics"]

SECONDS = (25e-6, 50e-6, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 5e-2, 0.1, 0.5, 1.0, 5.0)
CHANCES = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.99, 1.0)
Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts per upper bound, and the sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Labels) -> Iterable[str]:
        """Cumulative counts, the sum and the count."""
        running = 0
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            yield f"{name}_bucket{_label((*labels, ('le', bound)))} {running}"
        yield f"{name}_sum{_label(labels)} {_number(self.total)}"
        yield f"{name}_count{_label(labels)} {running}"


class Metrics:
    """Counters of one server; use from one thread."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, int], int] = {}
        self._seconds: dict[str, Histogram] = {}
        self._decisions: dict[tuple[str, str, str, str], int] = {}
        self._chances: dict[str, Histogram] = {}
        self._events: dict[tuple[str, str], int] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one answer and how long it took from its last byte in."""
        key = (route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        held = self._seconds.get(route)
        if held is None:
            held = self._seconds[route] = Histogram(SECONDS)
        held.add(seconds)

    def decision(self, route: str, arm: str, action: str, would: str, probability: float) -> None:
        """Count one decision: what is carried out, and what the model alone would do."""
        key = (route, arm, action, would)
        self._decisions[key] = self._decisions.get(key, 0) + 1
        held = self._chances.get(arm)
        if held is None:
            held = self._chances[arm] = Histogram(CHANCES)
        held.add(probability)

    def event(self, name: str, result: str) -> None:
        """Count something that happens now and then: a reload, a refused connection."""
        self._events[name, result] = self._events.get((name, result), 0) + 1

    def render(self, info: Mapping[str, Mapping[str, str]], gauges: Mapping[str, float]) -> bytes:
        """The text; ``info`` are facts as labels of a constant 1, ``gauges`` values of this moment."""
        out: list[str] = []
        for name, facts in info.items():
            _head(out, name, "gauge")
            out.append(f"{name}{_label(tuple(facts.items()))} 1")
        for name, value in gauges.items():
            _head(out, name, "counter" if name.endswith("_total") else "gauge")
            out.append(f"{name} {_number(value)}")
        _head(out, "riskml_requests_total", "counter")
        for (route, status), count in sorted(self._requests.items()):
            out.append(f"riskml_requests_total{_label((('route', route), ('status', str(status))))} {count}")
        _head(out, "riskml_request_seconds", "histogram")
        for route, seconds in sorted(self._seconds.items()):
            out += seconds.lines("riskml_request_seconds", (("route", route),))
        _head(out, "riskml_decisions_total", "counter")
        for key, count in sorted(self._decisions.items()):
            labels = tuple(zip(("route", "arm", "action", "would"), key, strict=True))
            out.append(f"riskml_decisions_total{_label(labels)} {count}")
        _head(out, "riskml_probability", "histogram")
        for arm, chances in sorted(self._chances.items()):
            out += chances.lines("riskml_probability", (("arm", arm),))
        _head(out, "riskml_events_total", "counter")
        for (name, result), count in sorted(self._events.items()):
            out.append(f"riskml_events_total{_label((('event', name), ('result', result)))} {count}")
        return ("\n".join(out) + "\n").encode()


def _head(out: list[str], name: str, kind: str) -> None:
    out += [f"# HELP {name} {_HELP.get(name, name.replace('_', ' '))}", f"# TYPE {name} {kind}"]


def _label(pairs: Labels) -> str:
    if not pairs:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


_HELP = {
    "riskml_requests_total": "Answers by route and status.",
    "riskml_request_seconds": "From the last byte of a request to its answer.",
    "riskml_decisions_total": "Decisions by arm, by what is carried out and by what the model alone would do.",
    "riskml_probability": "Probabilities of decisions by arm.",
    "riskml_events_total": "What happens now and then, by result.",
    "riskml_release": "The release that is served.",
    "riskml_challenger": "The release that is scored beside it.",
    "riskml_connections": "Open connections.",
    "riskml_ramp_share": "Share of events that the challenger decides.",
    "riskml_start_time_seconds": "When the server started, seconds since 1970.",
}
