"""What the model looks at: importance, families, dependence, and reasons for single events.

In go a model, the feature table and event rows; out come frozen, JSON-able facts that hold binned figures only,
never a customer's row, and a separate table of reasons for the highest-scored events. All values are exact
contributions in log-odds (path-dependent TreeSHAP, equal to ``shap.TreeExplainer``); each event's contributions and
the base add up to its raw margin. An empty set of rows is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError
from riskml.evidence.dependence import Dependence, Spread, dependence, spread
from riskml.features.kinds import OF_LABELS
from riskml.features.plan import FeaturePlan

if TYPE_CHECKING:
    import pandas as pd

    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model

Floats = NDArray[np.float64]
SCHEMA = "riskml.explanation/1"


@dataclass(frozen=True)
class Importance:
    """Mean |contribution| of a feature over all events and over those the model alerts on; shares add up to 1."""

    feature: str
    family: str
    mean: float
    share: float
    alerted: float


@dataclass(frozen=True)
class Family:
    """Features that tell one story; contributions are added up within an event before |·| is taken."""

    family: str
    features: int
    mean: float
    share: float
    alerted: float


@dataclass(frozen=True)
class Explanation:
    """Facts about the model's inputs, most important first; no row of any customer is in them."""

    model: str
    base: float
    rows: int
    alerted_rows: int
    importance: tuple[Importance, ...]
    families: tuple[Family, ...]
    unused: tuple[str, ...]
    spread: tuple[Spread, ...]
    dependence: tuple[Dependence, ...]
    largest_error: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"schema": SCHEMA} | asdict(self)


@dataclass(frozen=True)
class Reasons:
    """Per event the ``k`` largest contributions by size [n, k], signed: above 0 speaks for fraud."""

    names: NDArray[np.object_]
    contributions: Floats
    margins: Floats


def explain(
    model: Model,
    table: FeatureTable,
    rows: NDArray[np.int64],
    *,
    sample: int = 4_000,
    pictures: int = 12,
    hidden: Sequence[str] = (),
    seed: int = 0,
) -> Explanation:
    """Explain the model over ``rows``.

    Args:
        model: the model.
        table: feature values.
        rows: event rows, normally those of the test window.
        sample: events drawn at random; as many alerted ones are explained beside them.
        pictures: features with dependence facts.
        hidden: features whose values must not appear (``events.pii``): no dependence facts for them.
        seed: of the draw.

    Raises:
        DataError: ``rows`` is empty.
    """
    if not len(rows):
        raise DataError("there is no event to explain", "choose a window with events in it")
    margins = model.margins(table.frame, rows)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:sample])
    alerted = np.flatnonzero(model.alerts(margins))
    alerted = np.sort(alerted[np.argsort(-margins[alerted], kind="stable")][:sample])
    X = model.schema.encode(table.frame, rows[drawn])
    parts = model.contributions_of(X)
    hot = model.contributions_of(model.schema.encode(table.frame, rows[alerted]))
    ranked = _importance(model, parts[:, :-1], hot[:, :-1])
    used = [item.feature for item in ranked if item.mean > 0 or item.alerted > 0]
    shown = [name for name in used if name not in hidden][:pictures]
    lasting = {node.name for node in model.plan.nodes if node.aggregate in ("since_first", "since_last")}
    place = {name: at for at, name in enumerate(model.schema.names)}
    return Explanation(
        model=model.digest,
        base=float(parts[0, -1]),
        rows=len(drawn),
        alerted_rows=len(alerted),
        importance=tuple(item for item in ranked if item.feature in set(used)),
        families=_families(model, parts[:, :-1], hot[:, :-1]),
        unused=tuple(sorted(set(model.schema.names) - set(used))),
        spread=tuple(_spread(model, name, X[:, place[name]], parts[:, place[name]]) for name in shown),
        dependence=tuple(
            dependence(
                name,
                X[:, place[name]],
                parts[:, place[name]],
                model.schema.labels(name, table.frame[name].unique() if name in model.schema.hashed else ()),
                "seconds" if name in lasting else "",
            )
            for name in shown
        ),
        largest_error=float(np.max(np.abs(parts.sum(axis=1) - margins[drawn]))),
    )


def reasons(model: Model, frame: pd.DataFrame, k: int = 5, rows: NDArray[np.int64] | None = None) -> Reasons:
    """The ``k`` features that moved each event's margin most; ties in feature order."""
    parts = model.contributions(frame, rows)
    k = min(k, len(model.schema.names))
    order = np.argsort(-np.abs(parts[:, :-1]), axis=1, kind="stable")[:, :k]
    names = np.asarray(model.schema.names, dtype=object)[order]
    return Reasons(names, np.take_along_axis(parts, order, axis=1), parts.sum(axis=1))


def write_reasons(
    model: Model, table: FeatureTable, rows: NDArray[np.int64], path: Path, *, top: int = 500, k: int = 5
) -> int:
    """Write the reasons of the ``top`` highest margins among ``rows`` to Parquet, a row per event and reason.

    Columns: event, margin, probability, alert, rank, feature, family, value (as text), contribution. Events come from
    the highest margin down. Returns the number of events.
    """
    import pandas as pd

    margins = model.margins(table.frame, rows)
    order = np.argsort(-margins, kind="stable")[:top]
    chosen = rows[order]
    found = reasons(model, table.frame, k, chosen)
    wide = found.names.shape[1]
    family = {name: family_of(model.plan, name) for name in model.schema.names}
    flat = [str(name) for name in found.names.ravel()]
    values = table.frame.iloc[chosen]
    columns = {name: values[name].to_numpy(dtype=object) for name in set(flat)}
    events = np.repeat(np.arange(len(chosen)), wide)
    frame = pd.DataFrame(
        {
            "event": np.repeat(np.asarray(table.ids)[chosen], wide),
            "margin": np.repeat(margins[order], wide),
            "probability": np.repeat(model.probabilities(margins[order]), wide),
            "alert": np.repeat(model.alerts(margins[order]), wide),
            "rank": np.tile(np.arange(1, wide + 1, dtype=np.int64), len(chosen)),
            "feature": flat,
            "family": [family[name] for name in flat],
            "value": [_words(columns[name][event]) for name, event in zip(flat, events, strict=True)],
            "contribution": found.contributions.ravel(),
        }
    )
    frame.to_parquet(path, index=False)
    return len(chosen)


def family_of(plan: FeaturePlan, name: str) -> str:
    """The story a feature tells, from the plan: its source and whose history it is.

    Raw inputs are "this event"; facts of a reference table bear its name; a derived feature belongs to the first of the
    others that it reads, or to "this event".
    """
    stories = {item.name: item.table for item in plan.lookups}
    stories |= {item.name: f"network of {item.of}" for item in plan.networks}
    for node in plan.nodes:
        what = "known outcomes" if node.source == "labels" or node.aggregate in OF_LABELS else node.source
        stories[node.name] = f"{what} by {' and '.join(node.keys)}" if node.keys else what
    if name not in stories:
        text = next((item.expression for item in plan.derived if item.name == name), "")
        read = [known for known in stories if _mentions(text, known)]
        if not read:
            return "this event"
        name = min(read, key=text.find)
    return stories[name]


def _mentions(text: str, name: str) -> bool:
    """Whether an expression reads a column."""
    from riskml.expression import parse

    return bool(text) and name in parse(text).columns


def _spread(model: Model, name: str, values: NDArray[np.float32], parts: Floats) -> Spread:
    """Categories have no rank, so theirs count as missing."""
    ranked = values if name not in model.schema.categories else np.full_like(values, np.nan)
    return spread(name, ranked, parts)


def _importance(model: Model, parts: Floats, hot: Floats) -> list[Importance]:
    """Every feature, the most important first; ties in feature order."""
    mean, alerted = np.abs(parts).mean(axis=0), _mean(np.abs(hot))
    total = float(mean.sum()) or 1.0
    order = np.argsort(-mean, kind="stable")
    names = model.schema.names
    return [
        Importance(
            names[at], family_of(model.plan, names[at]), float(mean[at]), float(mean[at] / total), float(alerted[at])
        )
        for at in order
    ]


def _families(model: Model, parts: Floats, hot: Floats) -> tuple[Family, ...]:
    """Families with any contribution, the most important first."""
    members: dict[str, list[int]] = {}
    for at, name in enumerate(model.schema.names):
        members.setdefault(family_of(model.plan, name), []).append(at)
    means = {name: float(np.abs(parts[:, at].sum(axis=1)).mean()) for name, at in members.items()}
    hots = {name: float(_mean(np.abs(hot[:, at].sum(axis=1)))) for name, at in members.items()}
    total = sum(means.values()) or 1.0
    ranked = sorted(members, key=lambda name: (-means[name], name))
    return tuple(
        Family(name, len(members[name]), means[name], means[name] / total, hots[name])
        for name in ranked
        if means[name] > 0 or hots[name] > 0
    )


def _mean(values: Floats) -> Floats:
    """Mean over rows; 0 without rows."""
    return np.asarray(values.mean(axis=0) if len(values) else np.zeros(values.shape[1:]), dtype=np.float64)


def _words(value: object) -> str | None:
    """A feature's value as text, None if missing."""
    if value is None or value != value:
        return None
    return f"{value:.7g}" if isinstance(value, float | np.floating) else str(value)
