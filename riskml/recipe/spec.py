"""What a recipe says, as frozen values: one dataclass per table of the TOML file.

Times are integer microseconds UTC, durations integer microseconds. Nothing here reads a file or knows a default that
depends on data; ``riskml.recipe.parse`` builds these values and reports every problem it finds.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Literal

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
EVER = 2**62  # longer than any log

Duration = Annotated[int, "duration"]  # microseconds; "7d" in TOML
Past = Annotated[int, "duration", "ever"]  # microseconds; "30d", or "ever" for EVER
Instant = Annotated[int, "instant"]  # microseconds since 1970 UTC; a time with a zone in TOML
Kind = Literal["account_takeover", "cards", "checkout", "scam", "transfer"]
Direction = Literal["up", "down"]
Route = Literal["independent", "alert", "inferred", "rule"]
ROUTES: tuple[Route, ...] = ("independent", "alert", "inferred", "rule")  # best first


EPISODE_VALUE = re.compile(r"max|sum|min\(\s*sum\s*,\s*`?(?P<bound>[^`()\s][^`()]*?)`?\s*\)")
_PATHS = ("path", "storage", "warm_start")
_ORDERED = ("derive", "match", "packs")  # mappings whose order is that of the features


@dataclass(frozen=True)
class Threat:
    """``[threat]``: the name, the clock ``status`` shows, what "now" means and the kind of threat.

    ``kind`` only picks the parameters a search tries first.
    """

    name: str
    opened_at: Instant | None = None
    as_of: Instant | None = None
    kind: Kind | None = None


@dataclass(frozen=True)
class Stream:
    """``[events]`` or ``[sources.NAME]``: where rows come from and which columns carry meaning.

    ``path`` is absolute (a file or a glob) or a database URL with its ``${ENV}`` unexpanded; ``entities`` maps the
    entity's name to its column. ``delay`` is the constant lag until a row is known, ``available_at`` a column with it.
    A row that came more than ``backfill`` after it happened is taken to be a bulk load of old rows, which the live feed
    would have brought ``delay`` after it happened.
    """

    name: str
    path: str
    id: str | None
    time: str
    query: str | None = None
    timezone: str | None = None
    available_at: str | None = None
    delay: Duration = 0
    backfill: Duration | None = None
    sequence: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class Events(Stream):
    """``[events]``: one row per decision; ``inputs`` is the allow-list of raw columns the model may read."""

    amount: str | None = None
    later: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    pii: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reference:
    """``[tables.NAME]``: facts about a key that hold from ``valid_from`` on (always, without it).

    ``key`` is the table's column, ``on`` the column of the events that meets it (the same name, if None). Each of
    ``columns`` becomes the feature ``NAME_column``: the value in force strictly before the event.
    """

    name: str
    path: str
    key: str
    columns: tuple[str, ...]
    on: str | None = None
    valid_from: str | None = None
    query: str | None = None
    timezone: str | None = None


@dataclass(frozen=True)
class Labels:
    """``[labels]``: outcomes and when they became known.

    Without ``path`` the label is a column of the events and becomes known ``matures_after`` after the event.
    ``routes`` maps each value of the ``source`` column to one of ``ROUTES``. ``absent`` is "good" or "unknown".
    """

    matures_after: Duration
    label: str | None = None
    path: str | None = None
    query: str | None = None
    timezone: str | None = None
    match: Mapping[str, str] = field(default_factory=dict)
    known_at: str | None = None
    source: str | None = None
    routes: Mapping[str, Route] = field(default_factory=dict)
    absent: Literal["good", "unknown"] = "good"
    threat: str | None = None


@dataclass(frozen=True)
class RuleVersion:
    """One ``[[rule.version]]``: the expression and the instant it took effect (None: always)."""

    when: str
    since: Instant | None = None


@dataclass(frozen=True)
class Rule:
    """``[rule]``: the incumbent, as columns of the event log and, where known, as expressions.

    ``fired`` None means the log does not say and the versions are replayed instead. ``logged_version`` is the column
    with the version in force, null before the rule was written; it tells when that was where no version does.
    """

    fired: str | None = None
    enforced: bool = True
    release_chance: str | None = None
    action: str | None = None
    decided_by: str | None = None
    bypass: str | None = None
    name: str = "temp_rule"
    versions: tuple[RuleVersion, ...] = ()
    logged_version: str | None = None


@dataclass(frozen=True)
class FeatureGroup:
    """One ``[[features]]`` table: the cross product of ``by``, ``over`` and ``compute``.

    ``by`` holds entity names of the event, or inputs where the source is the events themselves; ``match`` maps an
    entity of the event to an entity or column of the source and replaces ``by``. ``over`` holds windows in
    microseconds, None for "ever". ``compute`` holds texts like ``"count"`` or ``"sum(amount_usd)"``. ``where`` may
    compare a row with the current event (``event.COLUMN``). ``prior`` and ``strength`` are p0 and m of ``rate``.
    """

    source: str
    compute: tuple[str, ...]
    by: tuple[tuple[str, ...], ...] = ()
    match: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    where: str | None = None
    over: tuple[Duration | None, ...] = (None,)
    offset: Duration = 0
    prior: float = 0.01
    strength: float = 20.0


@dataclass(frozen=True)
class NetworkGroup:
    """One ``[[network]]`` table: members linked through shared values (``link``) or by payments (``edge``).

    ``of`` is the entity of the event whose place in the network is asked (None: the first entity of the events);
    ``link`` holds entities whose values join members, ``edge`` the two entities of one payment. ``bad`` is the entity
    of a confirmed fraud that makes a member known bad (None: ``of``). A value with more than ``max_degree`` members
    links nothing from then on. ``over`` is for ``passed`` and ``passing_time`` alone.
    """

    compute: tuple[str, ...]
    source: str = "events"
    of: str | None = None
    link: tuple[str, ...] = ()
    edge: tuple[str, ...] = ()
    bad: str | None = None
    max_degree: int = 20
    where: str | None = None
    name: str | None = None
    over: tuple[Duration | None, ...] = (None,)


@dataclass(frozen=True)
class Pack:
    """One line of ``[packs]``: a ready set of features for the entities at hand.

    What is left out takes the pack's own choice: ``by`` (entities), ``over`` (windows), ``edge`` (the two entities of a
    payment, for ``flow``).
    """

    by: tuple[str, ...] = ()
    over: tuple[Duration | None, ...] = ()
    edge: tuple[str, ...] = ()


@dataclass(frozen=True)
class Train:
    """``[train]``: the windows of ``train | gap | calibrate | gap | test``, the search and its seed.

    ``history`` None means that how much of the past to train on is searched, and EVER that all of it is used;
    ``half_life`` None that recency weights are tried beside it. ``seconds`` is the budget of the whole of training;
    ``parallel`` is the number of trials of one synchronous round and part of the result. ``bag`` models with different
    seeds are averaged. ``negatives`` below 1 keeps that share of the good rows, each with the weight of those left out.
    ``monotone`` says for a feature whether more of it may only raise ("up") or lower ("down") the score. ``reported``
    is the share of frauds that anybody ever reports. ``storage`` (a file or a database URL with its ``${ENV}``
    unexpanded) holds a study that several machines share; ``warm_start`` is the run folder, or the file of trials, of
    an earlier search.
    """

    test: Duration = 28 * DAY
    calibrate: Duration = 14 * DAY
    history: Past | None = None
    half_life: Duration | None = None
    trials: int = 40
    seconds: float | None = None
    parallel: int = 2
    folds: int = 3
    seed: int = 7
    bag: int = 5
    objective: Literal["average_precision", "recall_at_alerts", "value_at_alerts"] = "average_precision"
    alerts_per_day: float | None = None  # None: as many as the rule
    negatives: float = 1.0
    select: bool = True
    monotone: Mapping[str, Direction] = field(default_factory=dict)
    reported: float | None = None
    storage: str | None = None
    warm_start: str | None = None
    params: Mapping[str, float | int | str] = field(default_factory=dict)  # fixed LightGBM parameters


@dataclass(frozen=True)
class Costs:
    """``[backtest.costs]``: ranges (low, high) in the amount's own currency; shares in [0, 1]."""

    insult: tuple[float, float] | None = None
    review: tuple[float, float] | None = None
    recovery: tuple[float, float] = (0.0, 0.0)
    stopped: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Episode:
    """``[backtest.episode]``: attempts of the same ``by`` within ``gap`` are one episode.

    ``value`` is its money at risk: "max" or "sum" of the attempts, or "min(sum, COLUMN)", the sum but no more than
    COLUMN says there was to lose.
    """

    by: tuple[str, ...]
    gap: Duration = DAY
    value: str = "max"

    @property
    def bound(self) -> str | None:
        """The column that bounds the sum of the attempts; None without one."""
        found = EPISODE_VALUE.fullmatch(self.value)
        return found["bound"] if found else None


@dataclass(frozen=True)
class Control:
    """``[backtest.control]``: what a ramp of random releases may cost (``riskml backtest --plan-control``).

    At most ``per_day`` of the rule's alerts are let through in a day (None: as few as settle the question), none above
    ``max_amount`` in the amount's own currency (None: 95 in 100 lie below), for ``days``.
    """

    per_day: int | None = None
    max_amount: float | None = None
    days: Duration = 14 * DAY


@dataclass(frozen=True)
class Backtest:
    """``[backtest]``: the question that sets the exit code, how volumes are matched and rows are clustered.

    ``allowance`` is the number of extra alerts ADD may raise, as a share of the rule's alerts. ``margin_value`` (share
    of caught value that may be lost), ``margin_insults`` (share of insults that may be added). ``min_clusters`` is how
    many effective fraud clusters an answer needs; a recipe may raise it, not lower it. ``match`` names the quantity in
    which model and rule are equal on calibrate. ``sign_off`` seals the last part of the test window.

    ``segments`` are columns or expressions of events; in each of them the model may lose ``segment_recall`` of recall
    (in points) and raise the insult rate by ``segment_insults`` (as a share of the rule's).
    """

    question: Literal["add", "replace"] = "replace"
    match: Literal["alerts", "insults", "value"] = "alerts"
    allowance: float = 0.5
    min_precision: float | None = None  # ADD: precision an extra alert must reach; None: the rule's own
    cluster_by: tuple[str, ...] = ()
    draws: int = 2000
    confidence: float = 0.95
    seed: int = 11
    margin_value: float = 0.0
    margin_insults: float = 0.0
    min_clusters: int = 40
    episode: Episode | None = None
    costs: Costs = field(default_factory=Costs)
    control: Control = field(default_factory=Control)
    sign_off: Duration | None = None
    segments: tuple[str, ...] = ()
    segment_recall: float = 0.1
    segment_insults: float = 1.0


@dataclass(frozen=True)
class Package:
    """``[package]``: name and version of the release; the name defaults to the threat's."""

    name: str | None = None
    version: str = "0.1.0"


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. ``file`` and ``overrides`` are where it came from and are not part of ``digest``."""

    threat: Threat
    events: Events
    labels: Labels
    sources: Mapping[str, Stream] = field(default_factory=dict)
    tables: Mapping[str, Reference] = field(default_factory=dict)
    rule: Rule | None = None
    features: tuple[FeatureGroup, ...] = ()
    network: tuple[NetworkGroup, ...] = ()
    packs: Mapping[str, Pack] = field(default_factory=dict)
    derive: Mapping[str, str] = field(default_factory=dict)
    train: Train = field(default_factory=Train)
    backtest: Backtest = field(default_factory=Backtest)
    package: Package = field(default_factory=Package)
    file: Path | None = None
    overrides: tuple[str, ...] = ()

    def digest(self, *sections: str) -> str:
        """SHA-256 over the meaning of the named sections, such as "train" or "backtest.episode"; of all, if none is.

        Paths count by their last part only, so that the same recipe has one hash on every machine; the data itself is
        fingerprinted where it is read.
        """
        names = sections or tuple(f.name for f in fields(self) if f.name not in ("file", "overrides"))
        body = {name: _plain(attrgetter(name)(self), name) for name in names}
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _plain(value: object, name: str = "") -> object:
    """JSON-ready form of a spec value; paths are cut to their last part, and order is kept where it names features."""
    if is_dataclass(value) and not isinstance(value, type):
        out: dict[str, object] = {}
        for f in fields(value):
            item = getattr(value, f.name)
            out[f.name] = Path(item).name if f.name in _PATHS and isinstance(item, str) else _plain(item, f.name)
        return out
    if isinstance(value, Mapping):
        pairs = [(str(key), _plain(item)) for key, item in value.items()]
        return pairs if name in _ORDERED else dict(pairs)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
