"""The tables that a decision log implies: its records in, events, sources, labels and decisions out.

Every row becomes known when it arrived, or by its own clock if that is later, which is what the online engine goes by;
times are read as for any other table. What a reference table said at a decision is what had been told by then. Rows of
an id that had come before are counted and left out, and so are labels and changes of events the log does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from riskml.errors import DataError
from riskml.expression import EVENT_TIME, parse

if TYPE_CHECKING:
    import pandas as pd

    from riskml.data.labels import LabelLog
    from riskml.data.tables import Table, Tables
    from riskml.features.plan import FeaturePlan, Lookup
    from riskml.recipe.spec import Recipe, Stream

__all__ = ["Decided", "Rebuilt", "rebuild"]

COUNTS: tuple[str, ...] = ("records", "decisions", "late", "observed", "duplicates", "other_plan", "unanswered")
COUNTS += ("other_kinds", "orphans", "clocks")
_SET = "riskml.set_at."  # when a column was overwritten, as far as the log can tell
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
Row = Mapping[str, Any]
Ints = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Decided:
    """One decision under the plan: the row of its event, what was logged of its features, and its lookups as told."""

    row: int
    event_id: Any
    time: int
    late: bool
    features: Mapping[str, Any]
    lookups: Mapping[str, Any]


@dataclass(frozen=True)
class Rebuilt:
    """What a log holds; ``counts`` by ``COUNTS``; ``clocks`` are events logged with another time than their row has."""

    tables: Tables
    labels: LabelLog
    decisions: tuple[Decided, ...]
    counts: Mapping[str, int]


@dataclass
class _Rows:
    """Rows of one stream as they came."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    arrival: list[int] = field(default_factory=list)
    place: dict[tuple[str, Any], int] = field(default_factory=dict)

    def add(self, identity: Any, row: Row, arrival: int) -> int | None:
        """Where the row stands; None if its id had come before."""
        if identity is not None and _key(identity) in self.place:
            return None
        if identity is not None:
            self.place[_key(identity)] = len(self.rows)
        self.rows.append(dict(row))
        self.arrival.append(arrival)
        return len(self.rows) - 1


def rebuild(records: Iterable[Mapping[str, Any]], recipe: Recipe, plan: FeaturePlan) -> Rebuilt:
    """Tables, labels and the decisions made under ``plan``.

    Raises:
        DataError: a record lacks something, or its rows cannot be read as the recipe says.
    """
    from riskml.data.tables import Tables

    work = _Reading(recipe, plan)
    for record in records:
        try:
            work.take(record)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"record {work.counts['records']:,} of the log lacks {error}", "is it whole?") from None
    if not work.events.rows:
        raise DataError("the log holds no event", "give the log of a release that decided on some")
    events = work.event_table()
    sources = {name: work.source_table(name) for name in recipe.sources}
    tables = Tables(events=events, sources=sources, labels=None, as_of=int(events.time.max()), fingerprint="log")
    return Rebuilt(tables, work.label_log(events.time), tuple(work.decided(events.time)), work.counts)


class _Reading:
    """A log as it is read, record by record."""

    def __init__(self, recipe: Recipe, plan: FeaturePlan) -> None:
        self.recipe, self.plan = recipe, plan
        self.events, self.sources = _Rows(), {name: _Rows() for name in recipe.sources}
        self.told: list[tuple[Any, Row, int]] = []
        self.facts = [_Facts(lookup) for lookup in plan.lookups]
        self.made: list[tuple[int, Row, Mapping[str, Any], dict[str, Any]]] = []
        self.seen: set[tuple[str, Any]] = set()
        self.counts = dict.fromkeys(COUNTS, 0)

    def take(self, record: Mapping[str, Any]) -> None:
        """One record, in the order of the log."""
        self.counts["records"] += 1
        if record["kind"] == "decide":
            self._decide(record)
            return
        if record["kind"] != "observe":  # feature values that were scored as they came have no past
            self.counts["other_kinds"] += 1
            return
        self.counts["observed"] += 1
        source, row, arrival = str(record["source"]), record["row"], int(record["arrival"])
        if source == "events":
            self._event(row, arrival)
        elif source == "labels":
            self.told.append((row.get(self._label_key()), row, arrival))
        elif source.startswith("tables."):
            for facts in self.facts:
                facts.tell(source.removeprefix("tables."), row, self.recipe)
        elif source in self.sources:
            name = self.recipe.sources[source].id
            if self.sources[source].add(row.get(name) if name else None, row, arrival) is None:
                self.counts["duplicates"] += 1
        else:
            raise DataError(f"the log holds rows of `{source}`, which the recipe does not know", "is it this recipe's?")

    def _decide(self, record: Mapping[str, Any]) -> None:
        identity = record["id"]
        if identity is not None and _key(identity) in self.seen:
            self.counts["duplicates"] += 1
            return
        at = self.events.add(identity, record["event"], int(record["arrival"]))
        if identity is not None:
            self.seen.add(_key(identity))
            at = self.events.place[_key(identity)]
        assert at is not None
        if "features" not in record:  # what was said of it is no longer kept
            self.counts["unanswered"] += 1
            return
        self.counts["decisions"] += 1
        self.counts["late"] += bool(record["late"])
        features = _features_of(record, self.plan.digest)
        if features is None:
            self.counts["other_plan"] += 1
            return
        event = _without_missing(dict(record["event"]), self.recipe.events)
        lookups = {facts.lookup.name: facts.answer(event, int(record["time"])) for facts in self.facts}
        self.made.append((at, record, features, lookups))

    def _event(self, row: Row, arrival: int) -> None:
        """An event decided elsewhere, or what was overwritten of a known one."""
        spec = self.recipe.events
        identity = row.get(spec.id) if spec.id else None
        plain = {name: value for name, value in row.items() if name not in {*spec.later, *spec.later.values()}}
        if row.get(spec.time) is None and _key(identity) not in self.events.place:
            self.counts["orphans"] += 1
            return
        at = self.events.add(identity, plain, arrival)
        at = self.events.place[_key(identity)] if at is None else at
        for column, clock in spec.later.items():
            if row.get(clock) is not None:
                self.events.rows[at] |= {column: row.get(column), clock: row[clock], _SET + clock: arrival}

    def _label_key(self) -> str:
        from riskml.data.answers import matched_columns

        pair = matched_columns(self.recipe)
        if pair is None or pair[0] != self.recipe.events.id:
            raise DataError("the log holds labels, and the recipe does not match them on the id of the event")
        return pair[1]

    def event_table(self) -> Table:
        """The events, with the instants at which their columns were overwritten."""
        spec = self.recipe.events
        frame, time, arrival = self._frame(spec, self.events, _event_columns(self.recipe, self.plan))
        self.counts["clocks"] = sum(int(record["time"]) != int(time[at]) for at, record, _, _ in self.made)
        later: dict[str, str] = {}
        for column, clock in spec.later.items():
            told = _micros([row.get(clock) for row in self.events.rows], spec.timezone, clock)
            came = np.array([row.get(_SET + clock, 0) for row in self.events.rows], dtype=np.int64)
            frame[clock], frame[_SET + clock] = _times(told), _times(np.maximum(told, came))
            later |= {column: _SET + clock, clock: _SET + clock}
        return _table("events", replace(spec, later=later), frame, time, np.maximum(time, arrival))

    def source_table(self, name: str) -> Table:
        """The rows of one source."""
        spec = self.recipe.sources[name]
        frame, time, arrival = self._frame(spec, self.sources[name], _source_columns(name, spec, self.plan))
        seen = time + spec.delay
        if spec.available_at is not None:
            told = _micros([row.get(spec.available_at) for row in self.sources[name].rows], spec.timezone, name)
            seen = np.where(told == _NEVER, time, np.maximum(told, time))
            frame[spec.available_at] = _times(told)
        return _table(name, spec, frame, time, np.maximum(seen, arrival))

    def _frame(self, spec: Stream, held: _Rows, columns: Sequence[str]) -> tuple[pd.DataFrame, Ints, Ints]:
        """Columns that are read, the time of each row and when it arrived."""
        import pandas as pd

        from riskml.data.storage import plain

        exact = {spec.id, spec.sequence, *spec.entities.values()}
        rows = [_without_missing(row, spec) for row in held.rows]
        made: dict[str, Any] = {}
        for name in columns:
            values = [row.get(name) for row in rows]
            made[name] = plain(pd.Series(values, dtype=object, name=name), name in exact)
            if name not in exact and _are_times(values):
                made[name] = _times(_micros(values, "UTC", spec.name))
        time = _micros([row.get(spec.time) for row in rows], spec.timezone, spec.name)
        if (time == _NEVER).any():
            raise DataError(f"`{spec.time}` of {spec.name} is null in a row of the log", "every row needs a time")
        made[spec.time] = _times(time)
        return pd.DataFrame(made, index=pd.RangeIndex(len(rows))), time, np.array(held.arrival, dtype=np.int64)

    def label_log(self, time: Ints) -> LabelLog:
        """The labels of the events that the log holds, from when each had arrived."""
        import pandas as pd

        from riskml.data.answers import UNKNOWN, UNREADABLE, read_answers
        from riskml.data.labels import LabelLog
        from riskml.recipe.spec import ROUTES

        spec = self.recipe.labels
        held = [item for item in self.told if item[0] is not None and _key(item[0]) in self.events.place]
        self.counts["orphans"] = len(self.told) - len(held)
        row = np.array([self.events.place[_key(identity)] for identity, _, _ in held], dtype=np.int64)
        arrival = np.array([came for _, _, came in held], dtype=np.int64)
        known = time[row] + spec.matures_after
        if spec.known_at is not None:
            known = _micros([body.get(spec.known_at) for _, body, _ in held], spec.timezone, "labels")
        fraud = np.ones(len(held), np.int8)
        if spec.label is not None:
            fraud = read_answers(pd.Series([body.get(spec.label) for _, body, _ in held], dtype=object))
        if (fraud == UNREADABLE).any():
            raise DataError(f"`{spec.label}` of a label in the log is neither fraud nor good")
        words = [str(body.get(spec.source)) if spec.source else "" for _, body, _ in held]
        route = np.array([ROUTES.index(spec.routes[word]) if spec.source else 0 for word in words], dtype=np.int8)
        known, kept = np.maximum(known, arrival), fraud != UNKNOWN
        order = np.flatnonzero(kept)[np.lexsort((-fraud[kept], -known[kept], route[kept], row[kept]))]
        source = np.array(words, dtype=object)
        return LabelLog(
            row=row[order],
            fraud=fraud[order],
            known_at=known[order],
            route=route[order],
            source=source[order],
            events=len(time),
            time=time,
            matures_after=spec.matures_after,
            absent_good=spec.absent == "good",
        )

    def decided(self, time: Ints) -> Iterable[Decided]:
        """The decisions under the plan, in the order of the log."""
        for at, record, features, lookups in self.made:
            yield Decided(at, record["id"], int(time[at]), bool(record["late"]), features, lookups)


class _Facts:
    """One lookup, with every row of its table as told so far."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self.rows: dict[Any, dict[int, Any]] = {}

    def tell(self, table: str, row: Row, recipe: Recipe) -> None:
        """Take in a row, if it is of this table."""
        key = row.get(self.lookup.table_key)
        if table != self.lookup.table or key is None:
            return
        since = -_NEVER
        if self.lookup.valid_from is not None:
            since = int(_micros([row.get(self.lookup.valid_from)], recipe.tables[table].timezone, table)[0])
        self.rows.setdefault(key, {})[since] = row.get(self.lookup.column)

    def answer(self, event: Row, time: int) -> Any:
        """The fact in force strictly before the event, a number as float32."""
        held = self.rows.get(event.get(self.lookup.key), {})
        before = [since for since in held if since < time]
        value = held[max(before)] if before else None
        if value is None or isinstance(value, str):
            return value
        with np.errstate(over="ignore"):
            number = np.float32(value)
        return float(number) if np.isfinite(number) else None


_NEVER = int(np.iinfo(np.int64).max)


def _features_of(record: Mapping[str, Any], plan: str) -> Mapping[str, Any] | None:
    """The features logged for a plan, whether it decided or only looked on; None where there are none."""
    if record["plan"] == plan:
        return dict(record["features"])
    for shadow in record.get("shadow", ()):
        if shadow.get("plan") == plan and shadow.get("features") is not None:
            return dict(shadow["features"])
    return None


def _event_columns(recipe: Recipe, plan: FeaturePlan) -> list[str]:
    """Columns of the events that windows and networks read, of the event itself or of its past."""
    from riskml.data.tables import stream_columns

    events = recipe.events
    names = {*stream_columns(events), *events.later}
    names |= set(_past_columns("events", plan)) | set(_past_columns("labels", plan))
    for node in plan.nodes:
        names |= {events.entities.get(key, key) for key in node.keys}
    for item in plan.history:
        names |= {name[6:] for name in _names(item.where) if name.startswith("event.") and name != EVENT_TIME}
    for network in plan.networks:
        names.add(network.bad)
    return sorted(names)


def _source_columns(name: str, spec: Stream, plan: FeaturePlan) -> list[str]:
    from riskml.data.tables import stream_columns

    return sorted({*stream_columns(spec), *_past_columns(name, plan)})


def _past_columns(source: str, plan: FeaturePlan) -> Iterable[str]:
    """Columns of a stream's rows that windows and networks read."""
    for node in plan.nodes:
        if node.source == source:
            yield from (*node.source_keys, *((node.column,) if node.column else ()))
    for network in plan.networks:
        if network.source == source:
            yield from (network.of_column, *network.links, *((network.column,) if network.column else ()))
    for item in plan.history:
        if item.source == source:
            yield from (name for name in _names(item.where) if not name.startswith("event."))


def _names(text: str | None) -> tuple[str, ...]:
    return parse(text).columns if text else ()


def _without_missing(row: dict[str, Any], spec: Stream) -> dict[str, Any]:
    """The row with null where an entity holds a word for "no such entity"."""
    numbers = {float(word) for word in spec.missing if _is_number(word)}
    for column in spec.entities.values():
        value = row.get(column)
        if value is None:
            continue
        if value in spec.missing if isinstance(value, str) else value in numbers:
            row[column] = None
    return row


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _are_times(values: Sequence[Any]) -> bool:
    """Whether a column that no recipe calls a clock holds times, as JSON writes them."""
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, str) and _TIME.fullmatch(value) for value in known)


def _micros(values: list[Any], timezone: str | None, section: str) -> Ints:
    """Instants as tables read them: texts by their zone, whole numbers as the microseconds that the wire carries."""
    import pandas as pd

    from riskml.data.clock import to_micros

    texts = pd.Series([None if isinstance(value, int) else value for value in values], dtype=object, name=section)
    told = to_micros(texts, timezone, "the log") if texts.notna().any() else np.full(len(values), _NEVER)
    whole = np.array([value if isinstance(value, int) else _NEVER for value in values], dtype=np.int64)
    return np.minimum(told, whole)


def _times(micros: Ints) -> Any:
    """Microseconds as a column of times, null where there is none."""
    import pandas as pd

    shown = np.where(micros == _NEVER, np.iinfo(np.int64).min, micros).view("datetime64[us]")
    return pd.Series(shown).dt.tz_localize("UTC")


def _key(identity: Any) -> tuple[str, Any]:
    """1 and "1" are two, 1 and 1.0 are one."""
    return ("text", identity) if isinstance(identity, str) else ("number", identity)


def _table(name: str, spec: Stream, frame: pd.DataFrame, time: Ints, seen: Ints) -> Table:
    from riskml.data.tables import Table

    return Table(name, spec, frame, time, seen, "log", 0)
