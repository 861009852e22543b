"""Train one recorded trial once more, exactly as the search ran it.

In go what training took and the recorded trials; out comes the trial made anew. A trial raced against the best one
known when its round began, so that one is looked up among the recorded trials first. Refuses rows without folds,
on which no search was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from riskml.errors import TrainingError
from riskml.learning.race import course, race
from riskml.learning.search import top_of
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
    trials: Mapping[int, Trial],
    number: int,
    **circumstances: Any,
) -> Trial:
    """Trial ``number`` of ``trials`` made once more.

    Args:
        recipe: the recipe it was made with.
        table: the feature table.
        log: the label log.
        windows: the windows.
        trials: every recorded trial by number.
        number: which one to make.
        circumstances: what else ``ready`` takes.

    Raises:
        TrainingError: the rows allow no folds.
    """
    wish = recipe.train
    rows = ready(recipe, table, log, windows, **circumstances).rows
    study = prepare_study(rows, wish, recipe.threat.kind)
    if not study.fold_rows:
        raise TrainingError("these rows allow no folds, so no search was made", "lengthen the training window")
    began = number // wish.parallel * wish.parallel
    before = [trial for trial in trials.values() if trial.number < began]
    along = course(study.fold_rows, wish.seed)
    best = top_of(before) if before else None
    (made,) = race(along, study.space, {number: trials[number].params}, wish.seed, best)
    return made
