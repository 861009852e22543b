"""The model: plan, schema, trees, calibrator and frozen threshold, as one immutable value with one hash.

In go frames of feature values; out come raw margins (the mean over the seed bag), probabilities and exact
contributions. It is stored as JSON and LightGBM's own text, readable with ``less``; nothing of the training rows is
kept beyond the names of common categories. A stored model whose hash does not match its content is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError
from riskml.features.plan import FeaturePlan
from riskml.learning.calibration import Calibrator
from riskml.learning.schema import Schema

if TYPE_CHECKING:
    import lightgbm as lgb
    import pandas as pd

Floats = NDArray[np.float64]
FORMAT = "riskml.model/1"
MODEL_FILE = "model.json"  # beside the boosters' text
FEW = 2_000
CHUNK = 100_000  # rows scored at once, so that memory stays flat


@dataclass(frozen=True)
class Model:
    """``boosters`` are LightGBM text; ``threshold`` is a raw margin: at or above it an event is an alert."""

    name: str
    plan: FeaturePlan
    schema: Schema
    boosters: tuple[str, ...]
    calibrator: Calibrator
    threshold: float
    seed: int
    recipe_digest: str
    data_fingerprint: str
    lineage: Mapping[str, str | float | int] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical content; wall-clock facts are not part of it."""
        return hashlib.sha256(_canonical(self._content()).encode()).hexdigest()

    @cached_property
    def trees(self) -> tuple[lgb.Booster, ...]:
        """The boosters, parsed once."""
        import lightgbm as lgb

        return tuple(lgb.Booster(model_str=text) for text in self.boosters)

    def margins(self, frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> Floats:
        """Raw margins [rows]: the mean of the boosters' raw scores.

        Raises:
            DataError: a column of the schema is missing.
        """
        chosen = np.arange(len(frame)) if rows is None else rows
        out = np.empty(len(chosen), dtype=np.float64)
        for start in range(0, len(chosen), CHUNK):
            part = self.schema.encode(frame, chosen[start : start + CHUNK])
            out[start : start + CHUNK] = self.margins_of(part)
        return out

    def margins_of(self, matrix: NDArray[Any]) -> Floats:
        """Raw margins of rows already encoded by the schema [n, features]."""
        if not len(matrix):
            return np.zeros(0)
        threads = _threads(matrix)
        total = np.zeros(len(matrix))
        for tree in self.trees:  # in order, so that one row and many add up alike
            total += np.asarray(tree.predict(matrix, raw_score=True, num_threads=threads), dtype=np.float64)
        return total / len(self.trees)

    def probabilities(self, margins: Floats) -> Floats:
        """Calibrated probabilities of raw margins."""
        return self.calibrator.apply(margins)

    def alerts(self, margins: Floats) -> NDArray[np.bool_]:
        """Which margins reach the frozen threshold."""
        return np.asarray(margins >= self.threshold)

    def contributions(self, frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> Floats:
        """Exact path-dependent SHAP values [rows, features + 1] in log-odds; the last column is the base.

        Each row sums to its raw margin.
        """
        return self.contributions_of(self.schema.encode(frame, rows))

    def contributions_of(self, matrix: NDArray[Any]) -> Floats:
        """As ``contributions`` for encoded rows."""
        total = np.zeros((len(matrix), len(self.schema.names) + 1))
        if not len(matrix):
            return total
        for tree in self.trees:
            total += np.asarray(tree.predict(matrix, pred_contrib=True, num_threads=_threads(matrix)), dtype=np.float64)
        return total / len(self.trees)

    def write(self, folder: Path) -> None:
        """Write ``model.json`` and the boosters' text into ``folder``, which must exist."""
        for name, data in self.files().items():
            (folder / name).write_bytes(data)

    def files(self) -> dict[str, bytes]:
        """What ``write`` writes, by name: ``model.json`` and the boosters' text."""
        body = {key: value for key, value in self._content().items() if key != "boosters"}
        body |= {"boosters": [_booster(at) for at in range(len(self.boosters))], "digest": self.digest}
        head = json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        return {_booster(at): text.encode() for at, text in enumerate(self.boosters)} | {MODEL_FILE: head.encode()}

    @classmethod
    def read(cls, folder: Path) -> Model:
        """The inverse of ``write``.

        Raises:
            DataError: a file is missing, malformed or altered.
        """
        return cls._read(str(folder), lambda name: (folder / name).read_bytes())

    @classmethod
    def of_files(cls, files: Mapping[str, bytes]) -> Model:
        """The inverse of ``files``; further files are ignored.

        Raises:
            DataError: as ``read``.
        """
        return cls._read("the release", files.__getitem__)

    @classmethod
    def _read(cls, where: str, file: Callable[[str], bytes]) -> Model:
        """The model whose files ``file`` gives by name."""
        try:
            body = json.loads(file(MODEL_FILE).decode())
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r}, not {FORMAT!r}")
            names = [str(name) for name in body["boosters"]]
            if any(name != _booster(at) for at, name in enumerate(names)):
                raise ValueError("unexpected booster file names")
            boosters = tuple(file(name).decode() for name in names)
            model = cls._from_content(body | {"boosters": boosters})
            digest = model.digest
        except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise DataError(f"no readable model in {where}: {error}", "run `riskml train` again") from error
        if digest != body.get("digest"):
            raise DataError(f"the model in {where} was altered after it was written", "run `riskml train` again")
        return model

    def _content(self) -> dict[str, Any]:
        """Everything that makes the model what it is, JSON-ready."""
        return {
            "format": FORMAT,
            "name": self.name,
            "plan": json.loads(self.plan.to_json()),
            "schema": self.schema.to_dict(),
            "boosters": list(self.boosters),
            "calibrator": self.calibrator.to_dict(),
            "threshold": self.threshold,
            "seed": self.seed,
            "recipe_digest": self.recipe_digest,
            "data_fingerprint": self.data_fingerprint,
            "lineage": dict(self.lineage),
        }

    @classmethod
    def _from_content(cls, body: Mapping[str, Any]) -> Model:
        return cls(
            name=str(body["name"]),
            plan=FeaturePlan.from_json(json.dumps(body["plan"])),
            schema=Schema.from_dict(body["schema"]),
            boosters=tuple(body["boosters"]),
            calibrator=Calibrator.from_dict(body["calibrator"]),
            threshold=float(body["threshold"]),
            seed=int(body["seed"]),
            recipe_digest=str(body["recipe_digest"]),
            data_fingerprint=str(body["data_fingerprint"]),
            lineage=dict(body["lineage"]),
        )


def _threads(matrix: NDArray[Any]) -> int:
    """Threads for one call, which never change a score: few rows are sooner done by one."""
    return 2 if len(matrix) >= FEW else 1


def _booster(at: int) -> str:
    return f"booster_{at}.txt"


def _canonical(body: Mapping[str, Any]) -> str:
    """One text per content: sorted keys, no spaces, shortest round-trip floats."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
