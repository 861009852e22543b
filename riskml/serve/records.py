"""What a decision log holds: one JSON object per record, the same bytes for the same decision, and back.

A "decide" record carries the raw event, its clocks, the features and what was said; an "observe" record a row of any
other stream. ``riskml parity`` and a restarted server read both; others may write records of further kinds into the
same log, which change no state. Refuses what is no record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riskml.errors import DataError
from riskml.release.load import Decision, Reason

__all__ = [
    "Answer",
    "Seen",
    "Shadow",
    "answer_record",
    "decide_record",
    "incoming_record",
    "observe_record",
    "parse_record",
]


@dataclass(frozen=True)
class Shadow:
    """What a release that did not decide would have said; ``features`` where its past is another, or its failure."""

    arm: str
    decision: Decision | None
    features: Mapping[str, float | str | None] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Answer:
    """What was said of one raw event.

    Args:
        decision: by the release of ``arm``.
        features: its window, network and lookup features as float32 values; None is null.
        event_id: as the event brought it.
        time: of the event, microseconds UTC.
        arrival: when it reached the log, microseconds UTC.
        late: its time lies before that of an event already decided.
        duplicate: the event had been decided; this is what was said then.
        position: of its record in the store.
        arm: which release decided.
        propensity: the chance that this arm had of deciding.
        shadow: what the others would have said.
    """

    decision: Decision
    features: Mapping[str, float | str | None]
    event_id: str | int | float | None
    time: int
    arrival: int
    late: bool
    duplicate: bool
    position: int
    arm: str = "champion"
    propensity: float = 1.0
    shadow: tuple[Shadow, ...] = field(default=())


@dataclass(frozen=True)
class Seen:
    """A row that was taken in; ``duplicate`` where its id had come before and nothing changed."""

    source: str
    arrival: int
    position: int
    duplicate: bool = False


def decide_record(event: Mapping[str, Any], answer: Answer) -> bytes:
    """The record of a decision."""
    body: dict[str, Any] = {"kind": "decide", "event": event, "id": answer.event_id}
    body |= {"time": answer.time, "arrival": answer.arrival}
    body |= {"features": answer.features, **_said(answer.decision)}
    body |= {"arm": answer.arm, "propensity": answer.propensity, "late": answer.late}
    body["shadow"] = [_shadowed(item) for item in answer.shadow]
    return _encode(body)


def observe_record(source: str, row: Mapping[str, Any], arrival: int) -> bytes:
    """The record of a row that is no decision."""
    return _encode({"kind": "observe", "source": source, "row": row, "arrival": arrival})


def incoming_record(
    row: Mapping[str, Any], identity: Any = None, time: int | None = None, source: str | None = None
) -> bytes:
    """The record of what came in, before it has a place: an event with its id and time, or a row of a source."""
    if source is not None:
        return _encode({"kind": "observe", "source": source, "row": row})
    return _encode({"kind": "decide", "event": row, "id": identity, "time": time})


def parse_record(record: bytes) -> dict[str, Any]:
    """The fields of a record.

    Raises:
        DataError: it is none.
    """
    try:
        body = json.loads(record)
    except (ValueError, RecursionError):
        raise DataError("a record of the log is no JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        raise DataError("a record of the log does not say of what kind it is")
    return body


def answer_record(body: Mapping[str, Any], position: int, duplicate: bool) -> Answer:
    """The answer that a "decide" record holds.

    Raises:
        DataError: the record lacks something.
    """
    try:
        shadow = tuple(
            Shadow(item["arm"], None, None, item["error"])
            if "error" in item
            else Shadow(item["arm"], _decision(item, body["id"]), item.get("features"))
            for item in body["shadow"]
        )
        return Answer(
            decision=_decision(body, body["id"]),
            features=body["features"],
            event_id=body["id"],
            time=body["time"],
            arrival=body["arrival"],
            late=body["late"],
            duplicate=duplicate,
            position=position,
            arm=body["arm"],
            propensity=body["propensity"],
            shadow=shadow,
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"a record of the log lacks {error}") from None


def _shadowed(item: Shadow) -> dict[str, Any]:
    if item.decision is None:
        return {"arm": item.arm, "error": item.error}
    own = {} if item.features is None else {"features": item.features}
    return {"arm": item.arm, **own, **_said(item.decision)}


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "margin": decision.margin,
        "probability": decision.probability,
        "action": decision.action,
        "reasons": [[reason.feature, reason.contribution] for reason in decision.reasons],
        "missing": list(decision.missing),
        "release": decision.release,
        "plan": decision.plan,
        "stage": decision.stage,
    }


def _decision(body: Mapping[str, Any], event: Any) -> Decision:
    return Decision(
        event=event if event is None or isinstance(event, str | int) else str(event),
        probability=body["probability"],
        margin=body["margin"],
        action=body["action"],
        reasons=tuple(Reason(name, part) for name, part in body["reasons"]),
        missing=tuple(body["missing"]),
        plan=body["plan"],
        release=body["release"],
        stage=body["stage"],
    )


_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _encode(body: Mapping[str, Any]) -> bytes:
    return _ENCODE(body).encode("ascii")
