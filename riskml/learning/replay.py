"""Train one recorded trial once more, exactly as the search ran it.

In go what training took and the recorded trial; out comes the trial made anew, leg by leg as far as it went. Refuses
rows without folds, on which no search was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from riskml.errors import TrainingError
from riskml.learning.race import course, rerun
from riskml.learning.train import ready
from riskml.learning.tune import prepare_study

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.features.table import FeatureTable
    from riskml.learning.journal import Trial
    from riskml.recipe.spec import Recipe


def replay(
    recipe: Recipe,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    *,
    trial: Trial,
    **circumstances: Any,
) -> Trial:
    """``trial`` made once more.

    Args:
        recipe: the recipe it was made with.
        table: the feature table.
        log: the label log.
        windows: the windows.
        trial: as the search recorded it.
        circumstances: what else ``ready`` takes.

    Raises:
        TrainingError: the rows allow no folds.
    """
    wish = recipe.train
    rows = ready(recipe, table, log, windows, **circumstances).rows
    study = prepare_study(rows, wish, recipe.threat.kind)
    if not study.fold_rows:
        raise TrainingError("these rows allow no folds, so no search was made", "lengthen the training window")
    return rerun(course(study.fold_rows, wish.seed), study.space, trial, wish.seed)
