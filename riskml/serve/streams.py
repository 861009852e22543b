"""What raw rows mean: the columns, clocks and words of a recipe, as plain facts that a release carries.

``declare`` takes a recipe and gives JSON-ready facts; ``Streams.read`` takes those and reads rows as they come in over
the wire: ids, times in microseconds UTC, outcomes and their routes. Refuses a row without its id or time, a time
without a zone where none is declared, and words nobody declared, naming the field.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, ReleaseError, near_matches
from riskml.features.online import Feed
from riskml.serve.instants import as_time, plain, read_instant
from riskml.serve.kinds import check_kinds

if TYPE_CHECKING:
    from riskml.recipe.spec import Events, Recipe, Stream

__all__ = ["SCHEMA", "Outcome", "Row", "Streams", "declare"]

SCHEMA = "riskml.online/1"
Row = Mapping[str, Any]
_ROUTES = ("independent", "alert", "inferred", "rule")  # best first, as recipe.spec.ROUTES
_FRAUD = ("1", "1.0", "true", "yes", "fraud")
_GOOD = ("0", "0.0", "false", "no", "good", "legit", "genuine")


def declare(recipe: Recipe, kinds: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, object]:
    """JSON-ready facts about the streams of a recipe; no path, no query and no value of the data among them.

    Args:
        recipe: what names the columns.
        kinds: of the columns that features read, per stream, as ``riskml.serve.kinds`` finds them in the tables; rows
            are held against them.
    """
    held = kinds or {}
    labels, pair = recipe.labels, _matched(recipe)
    routes = {word: _ROUTES.index(route) for word, route in labels.routes.items()}
    told: dict[str, object] | None = None
    if pair is not None and pair[0] == recipe.events.id:
        told = {
            "event": pair[1],
            "label": labels.label,
            "known_at": labels.known_at,
            "timezone": labels.timezone,
            "source": labels.source,
            "routes": routes,
            "matures_after": labels.matures_after,
        }
    return {
        "schema": SCHEMA,
        "events": _stream(recipe.events, held) | {"later": dict(recipe.events.later)},
        "sources": {name: _stream(stream, held) for name, stream in recipe.sources.items()},
        "labels": told,
        "absent_good": labels.absent == "good",
        "tables": {
            name: {
                "key": table.key,
                "valid_from": table.valid_from,
                "timezone": table.timezone,
                "columns": list(table.columns),
                "kinds": dict(held.get(f"tables.{name}", {})),
            }
            for name, table in recipe.tables.items()
        },
        "pii": list(recipe.events.pii),
    }


def _matched(recipe: Recipe) -> tuple[str, str] | None:
    """The column of the events and that of the label rows that meet, as ``data.answers.matched_columns`` has it."""
    labels, own = recipe.labels, recipe.events.id
    pairs = dict(labels.match)
    if not pairs and own:
        pairs = {own: own}
    return next(iter(pairs.items())) if len(pairs) == 1 else None


def _stream(stream: Stream | Events, kinds: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    return {
        "id": stream.id,
        "time": stream.time,
        "timezone": stream.timezone,
        "available_at": stream.available_at,
        "delay": stream.delay,
        "sequence": stream.sequence,
        "entities": dict(stream.entities),
        "missing": list(stream.missing),
        "kinds": dict(kinds.get(stream.name, {})),
    }


@dataclass(frozen=True)
class Clocked:
    """One stream of rows with its clocks; ``delay`` is in microseconds."""

    name: str
    id: str | None
    time: str
    timezone: str | None = None
    available_at: str | None = None
    delay: int = 0
    sequence: str | None = None
    entities: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    later: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def feed(self) -> Feed:
        """How the online engine reads it."""
        return Feed(self.id, self.sequence, self.entities, self.missing, self.later)

    @cached_property
    def overwritten(self) -> frozenset[str]:
        """Columns that are set after the row."""
        return self.feed.overwritten

    @cached_property
    def _kinds(self) -> Mapping[str, str]:
        return {name: kind for name, kind in self.kinds.items() if name not in self.clocks}

    @cached_property
    def _words(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(self.entities.values(), self.missing)

    @cached_property
    def clocks(self) -> tuple[str, ...]:
        """Every column that holds a time."""
        own = (self.time, self.available_at, *self.later.values())
        return tuple(dict.fromkeys(name for name in own if name))

    def identity(self, row: Row) -> str | int | float:
        """The id of a row.

        Raises:
            DataError: there is none, or it is neither a text nor a number.
        """
        value = row.get(self.id) if self.id is not None else None
        if value is None:
            raise DataError(f"a row of `{self.name}` came without its id", f"send `{self.id}`")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DataError(f"`{self.id}` should be a text or a number", "send one id per row")
        return value

    def instant(self, row: Row) -> int:
        """When a row happened, microseconds UTC.

        Raises:
            DataError: it is missing or no time.
        """
        found = read_instant(row.get(self.time), self.time, self.timezone)
        if found is None:
            raise DataError(f"a row of `{self.name}` came without its time", f"send `{self.time}`")
        return found

    def visible(self, row: Row, time: int, arrival: int) -> int:
        """From when a row counts: its own second clock or its delay, and never before it arrived."""
        seen = time + self.delay
        if self.available_at is not None:
            told = read_instant(row.get(self.available_at), self.available_at, self.timezone)
            seen = time if told is None else max(told, time)
        return max(seen, arrival)

    def timed(self, row: Row) -> dict[str, Any]:
        """The row with everything that is a time as a time, which is what expressions compute with.

        Raises:
            DataError: a clock holds something else, or another column is not of the kind it had in the tables.
        """
        out = check_kinds(row, self._kinds, self._words)
        for name in self.clocks:
            if out.get(name) is not None:
                out[name] = as_time(read_instant(out[name], name, self.timezone))
        return out


@dataclass(frozen=True)
class Outcome:
    """What a label says: of which event, fraud (1) or good (0), known when (None: once mature), by which route."""

    event: str | int | float
    fraud: int
    known_at: int | None
    route: int


@dataclass(frozen=True)
class Told:
    """How label rows are read; ``matures_after`` in microseconds, ``routes`` from a source's word to its rank."""

    event: str
    label: str | None
    known_at: str | None
    timezone: str | None
    source: str | None
    routes: Mapping[str, int]
    matures_after: int

    def outcome(self, row: Row) -> Outcome | None:
        """What a row says; None where its verdict is null.

        Raises:
            DataError: a field is missing or means nothing.
        """
        event = row.get(self.event)
        if event is None or isinstance(event, bool) or not isinstance(event, str | int | float):
            raise DataError("a label came without the id of its event", f"send `{self.event}`")
        known = None
        if self.known_at is not None:
            known = read_instant(row.get(self.known_at), self.known_at, self.timezone)
            if known is None:
                raise DataError("a label came without the time it became known", f"send `{self.known_at}`")
        fraud = self._verdict(row)
        return None if fraud is None else Outcome(event, fraud, known, self._route(row))

    def _verdict(self, row: Row) -> int | None:
        if self.label is None:
            return 1
        value = row.get(self.label)
        if value is None:
            return None
        word = str(value).strip().casefold()
        if word not in (*_FRAUD, *_GOOD):
            message = f"`{self.label}` of a label is neither fraud nor good"
            raise DataError(message, "a label is 1 or true for fraud, 0 or false for good")
        return int(word in _FRAUD)

    def _route(self, row: Row) -> int:
        if self.source is None:
            return 0
        word = str(row.get(self.source))
        if word not in self.routes:
            hint = near_matches(word, self.routes) or f"known: {', '.join(self.routes)}"
            raise DataError(f"`{self.source}` of a label names a source that the recipe does not", hint)
        return self.routes[word]


@dataclass(frozen=True)
class Fact:
    """How rows of one reference table are read."""

    name: str
    key: str
    valid_from: str | None
    timezone: str | None
    columns: tuple[str, ...]
    kinds: Mapping[str, str] = field(default_factory=dict)

    def since(self, row: Row) -> int | None:
        """From when a row holds; None where the table has no such clock.

        Raises:
            DataError: the key or the clock is missing.
        """
        if row.get(self.key) is None:
            raise DataError(f"a row of `tables.{self.name}` came without its key", f"send `{self.key}`")
        check_kinds(row, self.kinds, {})
        if self.valid_from is None:
            return None
        found = read_instant(row.get(self.valid_from), self.valid_from, self.timezone)
        if found is None:
            raise DataError(f"a row of `tables.{self.name}` came without its instant", f"send `{self.valid_from}`")
        return found


@dataclass(frozen=True)
class Streams:
    """Every stream of a recipe; ``digest`` of equal declarations is equal."""

    events: Clocked
    sources: Mapping[str, Clocked]
    labels: Told | None
    absent_good: bool
    tables: Mapping[str, Fact]
    pii: tuple[str, ...]

    @property
    def feeds(self) -> dict[str, Feed]:
        """How the online engine reads each stream."""
        return {"events": self.events.feed, **{name: stream.feed for name, stream in self.sources.items()}}

    def knows(self, source: str) -> bool:
        """Whether rows of this name mean something beside events and labels."""
        return source in self.sources or (
            source.startswith("tables.") and source.removeprefix("tables.") in self.tables
        )

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Streams:
        """The inverse of ``declare``.

        Raises:
            ReleaseError: the facts are of another version or say something else.
        """
        if body.get("schema") != SCHEMA:
            raise ReleaseError(f"the streams of the release are of kind {body.get('schema')!r}, not `{SCHEMA}`")
        try:
            tables = {
                str(name): Fact(str(name), **{**table, "columns": tuple(table["columns"])})
                for name, table in body["tables"].items()
            }
            return cls(
                events=_clocked("events", body["events"]),
                sources={str(name): _clocked(str(name), item) for name, item in body["sources"].items()},
                labels=None if body["labels"] is None else Told(**body["labels"]),
                absent_good=bool(body["absent_good"]),
                tables=tables,
                pii=tuple(body["pii"]),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ReleaseError(f"the streams of the release cannot be read: {error}") from None


def clean(row: object) -> dict[str, Any]:
    """A row as plain JSON values: NumPy scalars and times unwrapped, NaN and infinity null, lists joined as texts.

    Raises:
        DataError: it is no mapping of names.
    """
    if not isinstance(row, Mapping):
        raise DataError(f"a row is a mapping of fields, not a {type(row).__name__}", "send one row at a time")
    out: dict[str, Any] = {}
    for name, value in row.items():
        kind = type(value)
        if kind is str or value is None or kind is bool:
            out[name] = value
        elif kind is float:
            out[name] = value if math.isfinite(value) else None
        elif kind is int:
            out[name] = value if -(2**63) <= value < 2**63 else _float(value)
        else:
            out[name] = plain(value)
        if type(name) is not str:
            raise DataError("the names of fields are texts", "send a JSON object")
    return out


def _float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _clocked(name: str, body: Mapping[str, Any]) -> Clocked:
    return Clocked(name, **{**body, "missing": tuple(body["missing"])})
