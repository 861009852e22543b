"""Facts of a stage as lines for a terminal: mappings in, text out.

Reads only what ``facts.json`` holds, so that a fresh stage says the same as one just done. A fact that is absent is
left out of the line rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Facts = Mapping[str, object]


def summary(stage: str, facts: Facts) -> str:
    """Half a line on what a stage did, in the past tense."""
    return {
        "check": _check,
        "features": _features,
        "train": _train,
        "explain": _explain,
        "backtest": _backtest,
        "package": _package,
    }[stage](facts)


def lines(stage: str, facts: Facts) -> list[str]:
    """The answer of a single command."""
    if stage == "check":
        return [*_found(facts), *_proof(facts), f"check: {_check(facts)}"]
    if stage == "features":
        return [*_found(facts), f"features: {_features(facts)}"]
    if stage == "train":
        return [*(f"note: {note}" for note in _texts(facts.get("notes"))), f"train: {_train(facts)}"]
    if stage == "explain":
        return [*_drivers(facts), f"explain: {_explain(facts)}"]
    if stage == "backtest":
        return verdict_lines(facts)
    return [f"{stage}: {summary(stage, facts)}"]


def listed(facts: Facts) -> list[str]:
    """Every feature with its meaning, what it costs online and what it keeps."""
    out = []
    for item in (_mapping(entry) for entry in _sequence(facts.get("features"))):
        out.append(f"{item['name']}: {item['meaning']}")
        if item["kind"] not in ("input", "derived"):
            size = f" ({item['bytes']} bytes a {item['unit']})" if item["bytes"] else ""
            bounded = "" if item["bounded"] else "; UNBOUNDED"
            out.append(f"    reads {item['work']}; keeps {item['state']}{size}{bounded}")
    many, unbounded = len(_sequence(facts.get("features"))), len(_sequence(facts.get("unbounded")))
    out.append(f"{many} features; one event reads {facts['keys_per_event']} keys; {unbounded} with unbounded state")
    return out


def findings(facts: Facts, level: str = "") -> list[Mapping[str, object]]:
    """The findings of a check, of one level or of all, worst first."""
    order = ("breach", "warning", "note")
    found = [_mapping(item) for item in _sequence(facts.get("findings"))]
    kept = [item for item in found if not level or item.get("level") == level]
    return sorted(kept, key=lambda item: order.index(str(item.get("level"))))


def warnings(facts: Facts) -> list[str]:
    """The warnings of a stage as lines."""
    return _found(facts, "warning")


def _found(facts: Facts, level: str = "") -> list[str]:
    """Findings of one level, or of all, as lines, worst first."""
    return [
        f"{item['level']}: {item['message']}" + (f" ({item['hint']})" if item["hint"] else "")
        for item in findings(facts, level)
    ]


def _proof(facts: Facts) -> list[str]:
    """What was proved of the plan, one line an item."""
    proof = _mapping(_mapping(facts.get("facts")).get("proof"))
    return [f"proved: {sentence}" for sentence in _texts(proof.get("says"))] + _budget(
        _mapping(facts.get("online", {}))
    )


def _budget(facts: Facts) -> list[str]:
    """What the features cost online, and which of them keep ever more."""
    if "keys_per_event" not in facts:
        return []
    unbounded = _texts(facts.get("unbounded"))
    shown = ", ".join(unbounded[:3]) + (f" and {len(unbounded) - 3} more" if len(unbounded) > 3 else "")
    grows = (
        f"{len(unbounded)} features keep state that grows without bound ({shown})" if unbounded else "state is bounded"
    )
    return [f"online: one event reads {facts['keys_per_event']} keys; {grows}"]


def verdicts(facts: Facts) -> dict[str, Mapping[str, object]]:
    """ADD and REPLACE of a backtest, each with its word and reasons."""
    held = _mapping(facts.get("verdicts", facts))
    return {name: _mapping(held[name]) for name in ("add", "replace") if isinstance(held.get(name), Mapping)}


def verdict_lines(facts: Facts) -> list[str]:
    """One line a question: its word and why."""
    out = []
    for name, verdict in verdicts(facts).items():
        why = "; ".join(_texts(verdict.get("reasons")))
        out.append(f"{name.upper()}: {verdict.get('word')}" + (f": {why}" if why else ""))
    return out


def redacted(text: str) -> str:
    """An override without the password of a database URL."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)


def _check(facts: Facts) -> str:
    counts = {level: len(findings(facts, level)) for level in ("breach", "warning", "note")}
    held = _mapping(facts.get("facts", facts))
    events = _mapping(held.get("events"))
    rows = held.get("rows", events.get("rows"))
    start = f"{_number(rows)} events, " if isinstance(rows, int | float) else ""
    plural = {"breach": "breaches", "warning": "warnings", "note": "notes"}
    found = [f"{count} {level if count == 1 else plural[level]}" for level, count in counts.items()]
    return start + ", ".join(found)


def _features(facts: Facts) -> str:
    return f"{_number(facts['features'])} features of {_number(facts['rows'])} events"


def _train(facts: Facts) -> str:
    best = _mapping(facts.get("best")).get("value")
    trials = f"{_number(facts.get('trials'))} trials"
    if not isinstance(best, int | float):
        return trials
    return f"{trials}, best {str(facts.get('objective')).replace('_', ' ')} {best:.3f} on later days of train"


def _drivers(facts: Facts) -> list[str]:
    rows = _sequence(facts.get("importance"))[:10]
    out = []
    for row in rows:
        item = _mapping(row)
        share = item.get("share")
        out.append(
            f"{item.get('feature', item.get('name'))}: {float(str(share)):.1%}" if share is not None else str(item)
        )
    return out


def _explain(facts: Facts) -> str:
    return f"{len(_sequence(facts.get('importance')))} features ranked"


def _backtest(facts: Facts) -> str:
    return ", ".join(f"{name.upper()} {verdict.get('word')}" for name, verdict in verdicts(facts).items())


def _package(facts: Facts) -> str:
    override = _mapping(facts.get("override"))
    raised = f" by override (the verdicts allow {override['allowed']}: {override['reason']})" if override else ""
    signature = str(facts.get("signature", ""))
    signed = f", {signature}" if "signed by" in signature else ""
    beside = ", with a Dockerfile and kubernetes.yaml" if facts.get("container") else ""
    return f"{facts['file']}, stage {facts['stage']}{raised}{signed}{beside}"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _texts(value: object) -> list[str]:
    return [str(item) for item in _sequence(value)]
