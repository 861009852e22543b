"""A plan that reads everything the small streams bring, a release of it without a model, and messages for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from riskml.features.plan import FeaturePlan, Lookup, Network, Node
from riskml.release.load import Decision, Release
from tests.serve.worlds import DAY, MINUTE, START, streams

HOUR = 60 * MINUTE


def rich_plan() -> FeaturePlan:
    """Windows and lifetimes over events, logins and labels, outcomes, overwritten columns, a network and a lookup."""

    def node(
        name: str, source: str, aggregate: str, window: int | None, column: str | None = None, **more: Any
    ) -> Node:
        given = {"where": None, "offset": 0} | more
        return Node(name, source, ("user",), ("user_id",), window=window, aggregate=aggregate, column=column, **given)

    nodes = (
        node("count_1h", "events", "count", HOUR),
        node("sum_ever", "events", "sum", None, "amount_usd"),
        node("std_1d", "events", "std", DAY, "amount_usd"),
        node("last_asset_new", "events", "distinct", 6 * HOUR, "asset"),
        node("sent_1d", "events", "count", DAY, where="status == 'sent'"),
        node("bigger_1d", "events", "count", DAY, where="amount_usd > event.amount_usd"),
        node("logins_1h", "logins", "count", HOUR),
        node("logins_since_first", "logins", "since_first", None),
        node("frauds_ever", "labels", "count", None),
        node("rate_2d", "events", "rate", 2 * DAY, prior=0.1, strength=2.0, lag=HOUR),
    )
    network = Network("ring", "events", "user", "user_id", ("device_id",), False, "user_id", 20, "size")
    bad = Network("bad", "events", "user", "user_id", ("device_id",), False, "user_id", 20, "known_bad")
    lookup = Lookup("bin_risk", "bin", "asset", "code", "risk", "since")
    return FeaturePlan(nodes, (), ("amount_usd",), (lookup,), (network, bad))


def rich_streams() -> dict[str, Any]:
    """The small streams with a reference table and a device."""
    body = streams()
    body["events"]["entities"] = {"user": "user_id", "device": "device_id"}
    body["tables"] = {"bin": {"key": "code", "valid_from": "since", "timezone": None, "columns": ["risk"]}}
    return body


def rich_release() -> Release:
    """As much of a release as a decider needs; its margin is a sum of features, so that it depends on all of them."""
    plan, files = rich_plan(), {"online.json": json.dumps(rich_streams()).encode()}

    def score(row: Any, reasons: int) -> Decision:
        margin = sum(float(row[item.name] or 0.0) for item in (*plan.nodes, *plan.networks))
        return Decision(row["event_id"], 0.5, margin, "allow", (), (), plan.digest, "rich", "shadow")

    scorer = SimpleNamespace(model=SimpleNamespace(plan=plan))
    return cast(Release, SimpleNamespace(id="rich", files=files, scorer=scorer, score=score, stage="shadow"))


def rich_messages(n: int, seed: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Arrival, stream and row of n events and what comes between them, in order of arrival; some events come late."""
    draw, now = random.Random(seed), START
    yield now, "tables.bin", {"code": "BTC", "risk": 0.25, "since": START - DAY}
    for i in range(n):
        now += draw.randint(1, 4 * MINUTE)
        user, device = f"u-{draw.randrange(6)}", f"d-{draw.randrange(9)}"
        happened = now - (draw.randint(0, 20 * MINUTE) if draw.random() < 0.2 else 0)
        event = {"event_id": f"e-{i:05d}", "event_time": happened, "user_id": user, "device_id": device}
        event |= {"asset": draw.choice(["BTC", "ETH", None]), "amount_usd": round(draw.lognormvariate(4, 1), 2)}
        yield now, "decide", event
        if draw.random() < 0.5:
            login = {"login_id": f"l-{i}", "login_time": now - draw.randint(0, 3 * HOUR), "user_id": user}
            yield now + 1, "logins", login
        if draw.random() < 0.3:
            past = f"e-{draw.randrange(i + 1):05d}"
            label = {"event_id": past, "is_fraud": draw.random() < 0.7, "known_at": now, "source": "claim"}
            yield now + 2, "labels", label
        if draw.random() < 0.3:
            yield (
                now + 3,
                "events",
                {"event_id": f"e-{i:05d}", "status": draw.choice(["sent", "held"]), "status_at": now},
            )
        if draw.random() < 0.1:
            yield now + 4, "tables.bin", {"code": draw.choice(["BTC", "ETH"]), "risk": draw.random(), "since": now}
        now += 5
