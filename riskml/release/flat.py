"""The trees of a model as a release scores them: flattened, and shown to decide as LightGBM does before they ship.

In go the boosters' texts and encoded rows; out come the bytes of ``model/trees.bin``. Where a margin differs from
LightGBM's in one bit, or a contribution by more than 1e-10, there is no release.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import DataError, ReleaseError

if TYPE_CHECKING:
    from riskml.learning.model import Model
    from riskml.learning.trees import Forest

__all__ = ["flatten"]

TOLERANCE = 1e-10  # of contributions, in log-odds
_ROWS = 200
_EXPLAINED = 40  # of them: LightGBM takes a hundred times as long to explain as to score
_SEED = 20_180_725
_ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-36, -1e-36, -1.0, 0.5, 2.5, 1e9)
_BUG = "report this as a bug of riskml"

Floats = NDArray[np.float64]


def flatten(model: Model, known: NDArray[Any]) -> bytes:
    """The flattened trees of ``model``, after they were compared with LightGBM.

    Args:
        model: its boosters are the texts to flatten.
        known: encoded rows [n, features] to compare on, beside drawn ones.

    Raises:
        ReleaseError: the trees cannot be flattened, or decide otherwise than LightGBM.
    """
    from riskml.learning.trees import Forest

    try:
        raw = Forest.flatten(model.boosters).encode()
        forest = Forest.decode(raw)
    except DataError as error:
        raise ReleaseError(f"the model cannot be put into a release: {error.message}", error.hint) from None
    rows = np.vstack([np.asarray(known, dtype=np.float64), draw_rows(model)])
    _compare_margins(model, forest, rows)
    _compare_contributions(model, forest, np.vstack([rows[: _EXPLAINED // 2], rows[-_EXPLAINED // 2 :]]))
    return raw


def draw_rows(model: Model) -> Floats:
    """Encoded rows [200, features]: on the cuts and a hair beside them, known and unknown codes, and odd values."""
    rng = np.random.default_rng(_SEED)
    cuts = _cuts(model)
    rows = np.empty((_ROWS, len(model.schema.names)))
    for at, name in enumerate(model.schema.names):
        known = model.schema.categories.get(name)
        values = cuts.get(at, np.zeros(1)) if known is None else np.arange(-1.0, len(known) + 3)
        drawn = rng.choice(values, _ROWS)
        if known is None:
            toward = rng.choice([-np.inf, 0.0, np.inf], _ROWS)
            drawn = np.where(toward == 0, drawn, np.nextafter(drawn, toward))
        rows[:, at] = np.where(rng.random(_ROWS) < 0.15, rng.choice(_ODD, _ROWS), drawn)
    return rows


def _cuts(model: Model) -> dict[int, Floats]:
    """Per feature the thresholds of its splits."""
    found: dict[int, set[float]] = {}
    for text in model.boosters:
        features = re.findall(r"^split_feature=(.*)$", text, re.MULTILINE)
        cuts = re.findall(r"^threshold=(.*)$", text, re.MULTILINE)
        for indices, values in zip(features, cuts, strict=True):
            for at, value in zip(indices.split(), values.split(), strict=True):
                found.setdefault(int(at), set()).add(float(value))
    return {at: np.array(sorted(values)) for at, values in found.items()}


def _compare_margins(model: Model, forest: Forest, rows: Floats) -> None:
    wanted = np.zeros(len(rows))
    for tree in model.trees:
        wanted += np.asarray(tree.predict(rows, raw_score=True, num_threads=1), dtype=np.float64)
    wanted /= len(model.trees)
    found = forest.margins(rows)
    differ = np.flatnonzero(found.view(np.int64) != wanted.view(np.int64))
    if len(differ):
        first = int(differ[0])
        raise ReleaseError(
            f"the flattened trees give {float(found[first])!r} where LightGBM gives {float(wanted[first])!r}", _BUG
        )


def _compare_contributions(model: Model, forest: Forest, rows: Floats) -> None:
    wanted = np.zeros((len(rows), rows.shape[1] + 1))
    for tree in model.trees:
        wanted += np.asarray(tree.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)
    wanted /= len(model.trees)
    gap = float(np.abs(forest.contributions(rows) - wanted).max(initial=0.0))
    if not gap <= TOLERANCE:
        raise ReleaseError(f"the flattened trees explain an event {gap:.1e} from LightGBM", _BUG)
