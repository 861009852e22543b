"""Synthesised events with the decisions the model gave when the release was built.

In goes a scorer; out come vectors whose numbers are fixed constants or roundings of the trees' own split points,
never a customer's row: everything missing, typical, unseen categories, permuted fields, extremes, and the nearest
found on both sides of the threshold. ``check_golden`` scores them again and names every vector that differs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from riskml.errors import ReleaseError, RiskmlError
from riskml.release.inputs import Field
from riskml.release.manifest import canonical_json, parse_json
from riskml.release.scorer import Scorer

__all__ = ["check_golden", "golden_vectors"]

SCHEMA = "riskml.golden/1"
UNSEEN = "riskml-unseen"
TOLERANCE = 1e-12  # relative, of margins and probabilities: logarithms differ in the last bit between machines
_TRIALS = 400
_KEPT = 12
_SEED = 20_180_725
_CONSTANTS = (0.0, 1.0, -1.0, 0.5, 3.0, 12.0, 60.0, 900.0, 86_400.0)
_EXTREMES = (-3.0e38, 3.0e38)
_EVENT_TIME = 1_577_880_000_000_000  # 2020-01-01 12:00 UTC

Row = list[tuple[str, object]]


@dataclass(frozen=True)
class Vector:
    """One event as ordered pairs, and what it must give."""

    name: str
    row: Row
    margin: float
    probability: float
    action: str


def golden_vectors(scorer: Scorer) -> bytes:
    """The vectors of a model as canonical JSON; the same model gives the same bytes."""
    points = _split_points(scorer)
    rows = _fixed_rows(scorer, points)
    rng = np.random.default_rng(_SEED)
    drawn = [_draw(scorer, points, rng) for _ in range(_TRIALS)]
    margins = scorer.margins(np.stack([scorer.read(dict(row))[0] for row in drawn]))
    rows += [(f"drawn {at + 1}", drawn[at]) for at in range(_KEPT)]
    reached = margins >= scorer.model.threshold
    gap = np.abs(margins - scorer.model.threshold)
    for side, there in (("above", reached), ("below", ~reached)):
        if there.any():
            rows.append((f"nearest {side} the threshold", drawn[int(np.where(there, gap, np.inf).argmin())]))
    vectors = [_expected(scorer, name, row) for name, row in rows]
    return canonical_json({"schema": SCHEMA, "vectors": [_to_dict(vector) for vector in vectors]})


def check_golden(scorer: Scorer, raw: bytes) -> tuple[int, list[str]]:
    """How many vectors there are, and one sentence for each that the scorer decides differently.

    Raises:
        ReleaseError: the vectors cannot be read.
    """
    problems = []
    vectors = _read(raw)
    for wanted in vectors:
        try:
            found = _expected(scorer, wanted.name, wanted.row)
        except RiskmlError as error:
            problems.append(f"golden vector `{wanted.name}` cannot be scored: {error.message}")
            continue
        if found.action != wanted.action:
            problems.append(f"golden vector `{wanted.name}` gives {found.action} instead of {wanted.action}")
        elif not (_near(found.margin, wanted.margin) and _near(found.probability, wanted.probability)):
            problems.append(f"golden vector `{wanted.name}` gives margin {found.margin!r} instead of {wanted.margin!r}")
    return len(vectors), problems


def _fixed_rows(scorer: Scorer, points: Mapping[str, tuple[float, ...]]) -> list[tuple[str, Row]]:
    """The rows every release has."""
    fields = scorer.inputs.fields
    typical: Row = [(field.name, _typical(scorer, field, points)) for field in fields]
    unseen = [
        (f.name, UNSEEN if f.kind == "category" else value) for f, (_, value) in zip(fields, typical, strict=True)
    ]
    rows: list[tuple[str, Row]] = [
        ("empty", []),
        ("all null", [(field.name, None) for field in fields]),
        ("typical", typical),
    ]
    rows.append(("unseen category", unseen))
    rows.append(("permuted, with a further field", [("riskml-further", UNSEEN), *reversed(typical)]))
    for name, value in zip(("lowest", "highest"), _EXTREMES, strict=True):
        rows.append(
            (
                name,
                [(f.name, value if f.kind == "number" else old) for f, (_, old) in zip(fields, typical, strict=True)],
            )
        )
    rows.append(
        ("zero", [(f.name, 0 if f.kind == "number" else old) for f, (_, old) in zip(fields, typical, strict=True)])
    )
    return rows


def _typical(scorer: Scorer, field: Field, points: Mapping[str, tuple[float, ...]]) -> object:
    """The middle split point, the first category by name, noon of a day."""
    if field.kind == "category":
        known = scorer.model.schema.categories.get(field.name, ())
        return known[0] if known else UNSEEN
    if field.kind == "time":
        return _EVENT_TIME
    if field.kind == "any":
        return None
    split = points.get(field.name, ())
    return split[len(split) // 2] if split else 1.0


def _draw(scorer: Scorer, points: Mapping[str, tuple[float, ...]], rng: np.random.Generator) -> Row:
    """One random row: a fifth null, numbers from split points and constants, categories known or unseen."""
    row: Row = []
    for field in scorer.inputs.fields:
        if rng.random() < 0.2:
            value: object = None
        elif field.kind == "category":
            choices = (*scorer.model.schema.categories.get(field.name, ()), UNSEEN)
            value = choices[int(rng.integers(len(choices)))]
        elif field.kind == "time":
            value = _EVENT_TIME + int(rng.integers(365 * 24)) * 3_600_000_000
        elif field.kind == "any":
            value = None
        else:
            numbers = (*points.get(field.name, ()), *_CONSTANTS)
            value = numbers[int(rng.integers(len(numbers)))]
        row.append((field.name, value))
    return row


def _split_points(scorer: Scorer) -> dict[str, tuple[float, ...]]:
    """Per feature the thresholds of its numeric splits, rounded to two digits, in order; at most nine."""
    found: dict[str, set[float]] = {}
    names = scorer.model.schema.names
    for text in scorer.model.boosters:
        features = re.findall(r"^split_feature=(.*)$", text, re.MULTILINE)
        cuts = re.findall(r"^threshold=(.*)$", text, re.MULTILINE)
        for indices, values in zip(features, cuts, strict=True):
            for at, value in zip(indices.split(), values.split(), strict=True):
                rounded = float(f"{float(value):.2g}")
                if math.isfinite(rounded) and abs(rounded) < 1e30:
                    found.setdefault(names[int(at)], set()).add(rounded)
    return {name: _spread(sorted(values)) for name, values in found.items()}


def _spread(values: Sequence[float]) -> tuple[float, ...]:
    """At most nine of the values, evenly by rank."""
    picks = np.unique(np.linspace(0, len(values) - 1, 9).round().astype(int))
    return tuple(values[at] for at in picks.tolist())


def _expected(scorer: Scorer, name: str, row: Row) -> Vector:
    margin = scorer.margin(scorer.read(dict(row))[0])
    return Vector(name, row, margin, scorer.probability(margin), scorer.action(margin))


def _near(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _to_dict(vector: Vector) -> dict[str, object]:
    row = [[name, value] for name, value in vector.row]
    expected = {"margin": vector.margin, "probability": vector.probability, "action": vector.action}
    return {"name": vector.name, "row": row, "expected": expected}


def _read(raw: bytes) -> list[Vector]:
    body: Mapping[str, Any] = parse_json("golden.json", raw)
    try:
        if body["schema"] != SCHEMA:
            raise ValueError(body["schema"])
        return [_vector(item) for item in body["vectors"]]
    except (KeyError, OverflowError, TypeError, ValueError):
        raise ReleaseError("`golden.json` of the release cannot be read") from None


def _vector(item: Mapping[str, Any]) -> Vector:
    """The inverse of ``_to_dict``.

    Raises:
        KeyError, OverflowError, TypeError, ValueError: the item is none.
    """
    row = [(str(name), value) for name, value in item["row"]]
    margin, probability, action = (item["expected"][key] for key in ("margin", "probability", "action"))
    if isinstance(margin, str) or isinstance(probability, str):
        raise TypeError
    return Vector(str(item["name"]), row, float(margin), float(probability), str(action))
