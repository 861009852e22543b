"""What the model is compared with: the rule of the log, another rule, or the model of a release.

In go the log's incumbent and an opponent; out come the incumbent to judge against and frozen, JSON-ready facts of it.
A rival enforced nothing in this log: its alerts are replayed, while what the log's own rule stopped stays as unknown
for the rival as it is for the model. Refused: the very model under judgement, and a rule that reads what is only known
later. Decisions a rival may know the outcome of count for neither side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from riskml.data import rulelog
from riskml.data.roles import forbidden_columns
from riskml.data.split import iso
from riskml.errors import DataError, ExpressionError, UsageError
from riskml.evidence.backtest.champion import score
from riskml.evidence.rule import Incumbent, in_force, replay
from riskml.expression import EVENT_TIME, as_columns, parse
from riskml.recipe.spec import DAY, Rule

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.rulefile import RuleFile
    from riskml.recipe.spec import Recipe

__all__ = ["Kind", "Opponent", "Rival", "beside", "rival_facts", "spoken", "stand_in"]

Kind = Literal["rule", "rule file", "release"]
Bools = npt.NDArray[np.bool_]

_AGE = 100 * 365 * DAY  # no decision is waited for that long; such a date is a slip
_LOGGED = "rule of the log"
_NOUN: Mapping[Kind, str] = {"rule": "rule", "rule file": "rival rule", "release": "champion"}


@dataclass(frozen=True)
class Opponent:
    """A rival before it meets the log: a rule by its text, or a model with the stage its release has."""

    kind: Kind
    name: str
    digest: str
    rule: RuleFile | None = None
    model: Model | None = None
    stage: str | None = None

    @staticmethod
    def of_rule(rule: RuleFile) -> Opponent:
        """Another rule."""
        return Opponent("rule file", rule.name, rule.digest, rule=rule)

    @staticmethod
    def of_model(model: Model, name: str, stage: str) -> Opponent:
        """The model of a release; ``name`` is the release's id."""
        return Opponent("release", name, model.digest, model=model, stage=stage)


@dataclass(frozen=True)
class Rival:
    """What the model was compared with, in the eligible events of the test window; counts are events, observed.

    Args:
        kind: "rule" (of the log), "rule file" or "release".
        noun: what sentences call it: "rule", "rival rule" or "champion".
        name: the rule's name, the file's, or the id of the release.
        digest: SHA-256 of a rule file's text or of a release's model; None for the log's rule.
        since: only later decisions count: when the rule was written, or when the champion last saw a label.
        alerts: events it alerts on.
        shared: those of them the log's rule fired on too.
        unseen: those of them the log's rule stopped, so that nobody saw what they would have been.
        model_unseen: the same for the model's alerts.
        threshold: raw margin at which a champion alerts, frozen in its release; None for a rule.
        stage: stage of the champion's release, None for a rule.
        own_features: whether a champion's features differ from the recipe's and were computed for it.
    """

    kind: Kind
    noun: str
    name: str
    digest: str | None
    since: str | None
    alerts: int
    shared: int
    unseen: int
    model_unseen: int
    threshold: float | None = None
    stage: str | None = None
    own_features: bool = False


def stand_in(
    opponent: Opponent,
    logged: Incumbent | None,
    recipe: Recipe,
    tables: Tables,
    table: FeatureTable,
    log: LabelLog,
    windows: Windows,
    model: Model,
) -> tuple[Incumbent, bool]:
    """The incumbent to judge against, and whether features were computed for it.

    Its alerts are the opponent's; releases, blocks, bypasses and other controls stay those of the log. Without a
    ``[rule]`` nothing is known to have been stopped.

    Raises:
        UsageError: the opponent is the model itself.
        DataError: it cannot be replayed here.
    """
    if opponent.digest == model.digest:
        raise UsageError(
            f"{opponent.name} holds the very model that is judged ({model.digest[:12]})",
            "name an earlier release, or change the recipe and train again",
        )
    base = logged or _unruled(len(tables.events.time))
    notes, computed = list(base.notes), False
    if opponent.model is not None:
        rows = np.flatnonzero(tables.events.time >= windows.calibrate_start)
        found = score(opponent.model, recipe, tables, table, log, rows)
        fired, computed = np.asarray(found.margins >= opponent.model.threshold), found.computed
        since, more = _last_label(opponent.model)
    else:
        assert opponent.rule is not None
        fired, since, more = _replayed(opponent.rule, recipe, tables)
    if since is not None and since > windows.as_of + _AGE:
        raise DataError(f"{opponent.name} begins on {iso(since)[:10]}, a lifetime from now", "check its dates")
    notes += more
    return replace(base, fired=fired, logged=base.blocks, since=since, notes=tuple(notes)), computed


def rival_facts(
    opponent: Opponent | None, inc: Incumbent, rows: npt.NDArray[np.int64], alerts: Bools, computed: bool
) -> Rival:
    """Facts of the side the model was judged against.

    Args:
        opponent: None for the rule of the log.
        inc: the incumbent judged against.
        rows: eligible events.
        alerts: whether the model alerts on each of ``rows``.
        computed: whether features were computed for a champion.
    """
    stopped = inc.stopped[rows] & inc.enforced
    fired = inc.fired[rows]
    facts = Rival(
        kind="rule",
        noun=_NOUN["rule"],
        name=inc.name,
        digest=None,
        since=None if inc.since is None else iso(inc.since),
        alerts=int(fired.sum()),
        shared=int((fired & inc.blocks[rows]).sum()),
        unseen=int((fired & stopped).sum()),
        model_unseen=int((alerts & stopped).sum()),
    )
    if opponent is None:
        return facts
    return replace(
        facts,
        kind=opponent.kind,
        noun=_NOUN[opponent.kind],
        name=opponent.name,
        digest=opponent.digest,
        threshold=None if opponent.model is None else opponent.model.threshold,
        stage=opponent.stage,
        own_features=computed,
    )


def beside(policies: Mapping[str, Bools], logged: Incumbent | None) -> dict[str, Bools]:
    """Simple policies beside a rival: those made from the log's rule say so, and the rule itself stands among them."""
    names = {"rule re-tuned": f"{_LOGGED}, re-tuned", "model on the rule's fields": f"model on fields of the {_LOGGED}"}
    found = {names.get(name, name): alerts for name, alerts in policies.items()}
    return found if logged is None else found | {_LOGGED: logged.fired}


def spoken(text: str, noun: str) -> str:
    """A sentence written of the rule, said of another incumbent: "rule-only alerts" are then "champion-only alerts".

    What is said of the "rule of the log" stays.
    """
    if noun == "rule":
        return text

    def said(found: re.Match[str]) -> str:
        word = noun.split()[0] if found[2] else noun
        return (word.capitalize() if found[1] == "Rule" else word) + (found[2] or "")

    return re.sub(r"\b([Rr]ule)\b(?! of the log\b)(-only\b)?", said, text)


def _unruled(n: int) -> Incumbent:
    """No rule: nothing fired and nothing was stopped [n]."""
    none = np.zeros(n, bool)
    return Incumbent("none", none, False, np.full(n, np.nan), none, none, none, ~none, None, None, False)


def _last_label(model: Model) -> tuple[int | None, list[str]]:
    """The instant up to which the champion may know outcomes: later decisions count."""
    said = model.lineage.get("labels_known_until")
    try:
        moment = datetime.fromisoformat(str(said))
    except ValueError:
        return None, ["The champion does not say until when it saw labels; it may know outcomes of the test window."]
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp()) * 1_000_000, []


def _replayed(rule: RuleFile, recipe: Recipe, tables: Tables) -> tuple[Bools, int | None, list[str]]:
    """Alerts of a rule file [n], when its first version began, and what a reader should know."""
    frame, time = tables.events.frame, tables.events.time
    late = {name: why for name, why in forbidden_columns(recipe).items() if not _known_then(recipe, name)}
    nulls = 0
    for version in rule.versions:
        expression = parse(version.when)
        for name in expression.columns:
            if name in late:
                raise DataError(f"the rule {rule.name} reads `{name}`, which {late[name]}", "rules read what is known")
            if name != EVENT_TIME:
                rulelog.column(frame, name, f"the rule {rule.name}")
    starts = [version.since for version in rule.versions if version.since is not None]
    since = min(starts) if len(starts) == len(rule.versions) else None
    try:
        fired = replay(Rule(versions=rule.versions), frame, time)
        for version, rows in in_force(rule.versions, time):
            expression = parse(version.when)
            given = as_columns(frame.iloc[rows], [name for name in expression.columns if name != EVENT_TIME])
            nulls += int(np.isnan(expression.evaluate(given | {EVENT_TIME: time[rows]})).sum()) if len(rows) else 0
    except ExpressionError as error:
        raise DataError(f"the rule {rule.name} cannot be replayed: {error.message}", error.hint) from None
    notes = [f"The rule {rule.name} is null, and so does not fire, on {nulls:,} events."] if nulls else []
    if since is None:
        notes.append(f"The rule {rule.name} does not say when it was written; days that shaped it flatter it.")
    return fired, since, notes


def _known_then(recipe: Recipe, name: str) -> bool:
    """Whether a column the model may not read is one a rule may: what the log's rule said, and the allow-list."""
    rule = recipe.rule
    return rule is not None and name in (rule.fired, rule.bypass)
