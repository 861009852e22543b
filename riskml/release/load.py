"""From the path of a release to something that scores: verified byte by byte before anything in it is used.

``load`` refuses whatever ``verify`` would find in the archive; out comes a ``Release`` that scores one event (a
mapping) or a table. NumPy alone scores, at once; ``Release.warm`` loads the machine code that makes it fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, ReleaseError
from riskml.release import archive
from riskml.release.contents import Contents, open_contents
from riskml.release.inputs import Field, Inputs, is_null
from riskml.release.manifest import Manifest, Override, Stage, parse_json
from riskml.release.scorer import Action, Scorer, scorer_of
from riskml.release.sign import UNSIGNED, Trust

if TYPE_CHECKING:
    from riskml.learning.model import Model

__all__ = ["Contents", "Decision", "Reason", "Release", "load", "open_contents"]

MODEL = "model/"
TREES = "model/trees.bin"  # the flattened trees; releases of older riskml lack them
REASONS = 3  # per event


@dataclass(frozen=True)
class Reason:
    """A feature that raises the margin of one event, and by how much (log-odds)."""

    feature: str
    contribution: float


@dataclass(frozen=True)
class Decision:
    """What a release says of one event.

    ``margin`` is raw (log-odds before calibration) and decides the ``action`` at the frozen threshold; ``stage`` says
    what the verdicts allow that action to do. ``missing`` lists declared fields the event did not hold; they count as
    null. ``event`` is its id, if it brought one.
    """

    event: str | int | None
    probability: float
    margin: float
    action: Action
    reasons: tuple[Reason, ...]
    missing: tuple[str, ...]
    plan: str
    release: str
    stage: Stage


@dataclass(frozen=True)
class Release:
    """A loaded release; ``files`` are its verified contents by name, ``signature`` says who signed."""

    manifest: Manifest
    scorer: Scorer
    files: Mapping[str, bytes]
    signature: str = UNSIGNED

    @cached_property
    def id(self) -> str:
        """Name, version and the start of the manifest's hash."""
        return self.manifest.id

    @property
    def stage(self) -> Stage:
        """What the verdicts allow, or an override: "shadow", "add" or "replace"."""
        return self.manifest.stage

    @property
    def override(self) -> Override | None:
        """Why the stage is above what the verdicts allow; None where it is not."""
        return self.manifest.override

    @property
    def threshold(self) -> float:
        """Raw margin at or above which the action is "alert"."""
        return self.scorer.model.threshold

    @property
    def fields(self) -> tuple[Field, ...]:
        """What an event should hold."""
        return self.scorer.fields

    @cached_property
    def verdict(self) -> Mapping[str, object]:
        """The facts of the backtest that gave the stage."""
        return parse_json("verdict.json", self.files["verdict.json"])

    @cached_property
    def streams(self) -> Mapping[str, object] | None:
        """What raw events look like (``riskml.online/1``); None where the release decides on feature values alone."""
        raw = self.files.get("online.json")
        return None if raw is None else parse_json("online.json", raw)

    def score(self, row: Mapping[str, object], reasons: int = REASONS) -> Decision:
        """Score one event.

        Args:
            row: raw inputs, plan features and, for derived features, raw columns of the event, by name in any order.
                A missing field, None, NaN and infinity are null; an unseen category is unknown; other keys are ignored.
            reasons: at most so many; 0 saves most of the time.

        Raises:
            DataError: a value of the wrong kind, by name.
        """
        if type(row) is not dict:
            row = _as_dict(row)
        scorer = self.scorer
        encoded, missing = scorer.read(row)
        margin = scorer.margin(encoded)
        found = [Reason(name, part) for name, part in scorer.reason(encoded, reasons)] if reasons > 0 else ()
        return Decision(
            event=_event_id(row, scorer.inputs.event_id),
            probability=scorer.probability(margin),
            margin=margin,
            action=scorer.action(margin),
            reasons=tuple(found),
            missing=missing,
            plan=scorer.model.plan.digest,
            release=self.id,
            stage=self.manifest.stage,
        )

    def warm(self) -> None:
        """Load machine code, compiled if none was kept: seconds the first time, and no score changes."""
        self.scorer.warm()

    def online(self, store: Any = None, **limits: Any) -> Any:
        """What decides on raw events: a ``riskml.serve.decider.Decider`` over ``store`` (None: memory).

        Raises:
            ReleaseError: the release does not say what raw events look like.
        """
        return importlib.import_module("riskml.serve.decider").Decider(self, store, **limits)

    def score_table(self, table: Any, reasons: int = REASONS) -> Any:
        """Score a DataFrame or Arrow table of feature values; the same kind of table comes back, row for row.

        Columns: the event id (if the table holds it), probability, margin, action and reason_1 ... of alerts, null
        elsewhere; ``score`` gives the reasons of any single event.

        Raises:
            DataError: a column is missing or of the wrong kind.
        """
        from riskml.release.table import score_table

        return score_table(self, table, reasons)


def load(path: str | Path, trust: Trust = None) -> Release:
    """The release at ``path``, after every byte of it was checked.

    Args:
        path: a ``.riskml`` file.
        trust: a file of public keys, or its contents: a release that none of them signed is refused.

    Raises:
        UsageError: no such file, or no key in ``trust``.
        ReleaseError: altered, malformed, from a newer riskml, or not signed by a trusted key.
    """
    where = Path(path)
    contents = open_contents(archive.read_bytes(where), trust)
    if contents.problems:
        more = f" and {len(contents.problems) - 1} more" if len(contents.problems) > 1 else ""
        raise ReleaseError(
            f"`{where.name}`: {contents.problems[0]}{more}", f"`riskml verify {where}` lists what is wrong"
        )
    return assemble(contents)


def assemble(contents: Contents) -> Release:
    """A scoring release from verified contents.

    Raises:
        ReleaseError: the files do not fit together.
    """
    manifest, files = contents.manifest, contents.files
    for name in ("schema.json", "plan.json", "golden.json", "verdict.json"):
        if name not in files:
            raise ReleaseError(f"the release lacks `{name}`")
    model = _read_model(files)
    schema = parse_json("schema.json", files["schema.json"])
    declared = manifest.lineage
    if model.digest != declared.get("model") or model.plan.digest != declared.get("plan"):
        raise ReleaseError("the model in the release is not the one its manifest names")
    if files["plan.json"] != model.plan.to_json().encode():
        raise ReleaseError("`plan.json` of the release is not the plan of its model")
    scorer = scorer_of(model, Inputs.from_dict(schema), files.get(TREES))
    return Release(manifest, scorer, files, contents.signature)


def _read_model(files: Mapping[str, bytes]) -> Model:
    """The model from its files, which are never written to disk."""
    from riskml.learning.model import Model

    own = {name[len(MODEL) :]: data for name, data in files.items() if name.startswith(MODEL)}
    try:
        return Model.of_files(own)
    except (DataError, ReleaseError) as error:
        raise ReleaseError(f"the model in the release cannot be read: {error.__cause__ or error.message}") from None


def _as_dict(row: object) -> dict[str, object]:
    """Any mapping of fields as a plain dict.

    Raises:
        DataError: it is none.
    """
    if isinstance(row, Mapping):
        return dict(row)
    raise DataError(f"an event is a mapping of fields, not a {type(row).__name__}", "use score_table for tables")


def _event_id(row: Mapping[str, object], name: str | None) -> str | int | None:
    """The id of the event, if it brought one."""
    value = None if name is None else row.get(name)
    if is_null(value):
        return None
    return value if isinstance(value, str | int) else str(value)
