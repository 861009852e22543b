"""Did production see what the backtest would have seen? A decision log and its recipe in, every difference out.

The raw events of the log become tables again, each row known from when it arrived; the local engine computes the
features of every decision; what the log says they were must have the same float32 bits. Reported per feature: values
that differ, values the log lacks, and values the recipe does not know. Refuses logs without a decision under the
recipe's plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from riskml.errors import DataError, UsageError
from riskml.serve.journal import opened, read_log
from riskml.serve.rebuilt import Decided, rebuild
from riskml.serve.records import parse_record

if TYPE_CHECKING:
    from riskml.features.table import FeatureTable
    from riskml.recipe.spec import Recipe

__all__ = ["Difference", "Example", "Parity", "log_records", "parity"]

_LONGEST = 1 << 26  # bytes of a record
_SEALED = b',"crc":"'
_ABSENT = object()
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Example:
    """The first decision at which a feature differs; the id is None where the recipe calls it personal."""

    event_id: str | int | float | None
    time: int
    logged: float | str | None
    computed: float | str | None


@dataclass(frozen=True)
class Difference:
    """One feature that is not the same everywhere.

    ``mismatch`` counts decisions whose value differs (``late`` of them of events that came late), ``missing`` those
    whose record lacks the feature, ``extra`` those whose record holds one that the recipe does not compute.
    """

    feature: str
    mismatch: int
    missing: int
    extra: int
    late: int
    example: Example | None


@dataclass(frozen=True)
class Parity:
    """What was compared and what differs; ``values`` counts pairs that were compared, ``features`` those that differ.

    ``counts`` tells of the log: records, decisions, those of events that came late, rows of other streams, duplicates,
    decisions under another plan only, events without what was said of them, records without a past, labels and
    changes of unknown events, and events whose logged time is not that of their row.
    """

    plan: str
    compared: int
    names: int
    values: int
    features: tuple[Difference, ...]
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether every value is there and has the same bits."""
        return not self.features and not self.counts["clocks"]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready facts."""
        return {
            "schema": "riskml.parity/1",
            "ok": self.ok,
            "plan": self.plan,
            "compared": self.compared,
            "names": self.names,
            "values": self.values,
            "counts": dict(self.counts),
            "features": [asdict(item) for item in self.features],
        }


def parity(
    records: Iterable[Mapping[str, Any]], recipe: Recipe, since: int | None = None, progress: Progress | None = None
) -> Parity:
    """Compare every decision of a log with the local engine.

    Args:
        records: of the whole log, in its order (``log_records``); the past of a decision is what comes before it.
        recipe: the one that the release was built from.
        since: leave decisions on earlier events uncompared, microseconds UTC; their rows still count as past.
        progress: told what is being done.

    Raises:
        DataError: no decision was made under the recipe's plan, or the rows cannot be read as the recipe says.
    """
    from riskml.features.compile import compile_plan
    from riskml.features.local import compute

    plan = compile_plan(recipe)
    log = rebuild(records, recipe, plan)
    chosen = [item for item in log.decisions if since is None or item.time >= since]
    if not chosen:
        raise DataError(*_nothing(log.counts, len(log.decisions), plan.digest))
    history = replace(plan, inputs=(), lookups=(), derived=())  # the log holds the rest in the event itself
    table = compute(history, log.tables, log.labels, progress=progress)
    wanted = [*(lookup.name for lookup in plan.lookups), *(item.name for item in plan.history)]
    hidden = recipe.events.id in recipe.events.pii
    found = [*_differences(chosen, table, wanted, hidden), *_extras(chosen, plan.names)]
    values = sum(name in item.features for name in wanted for item in chosen)
    return Parity(plan.digest, len(chosen), len(wanted), values, tuple(found), log.counts)


def log_records(log: str | Path) -> Iterator[dict[str, Any]]:
    """The records of a log, in order.

    Args:
        log: the folder that a server writes, a file of such lines, or the URL of a store that several servers share.

    Raises:
        UsageError: there is no log.
        DataError: a line is no record, or was altered.
    """
    if "://" in str(log):
        yield from _of_store(str(log))
    elif Path(log).is_dir():
        yield from (parse_record(record) for _, record in read_log(log))
    elif Path(log).is_file():
        yield from _of_file(Path(log))
    else:
        raise UsageError(f"no log at {log}", "give the folder that `riskml serve --log` writes, or a file of lines")


def _of_file(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, with or without checksums; a last line that is being written is left out."""
    with path.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST), b""), 1):
            if not line.strip():
                continue
            record = opened(line) if _SEALED in line[-24:] else line
            if not line.endswith(b"\n") and (record is None or not line.endswith(b"}")):
                return
            if record is None:
                raise DataError(f"line {number:,} of {path.name} was altered", "bring the file back from a copy")
            yield parse_record(record)


def _of_store(url: str) -> Iterator[dict[str, Any]]:
    """The records of a shared stream, events with what was said of them as far as that is kept."""
    from riskml.serve.valkey import Valkey

    store = Valkey(url)
    try:
        for position, record in store.read(0):
            body = parse_record(record)
            said = store.answered(position) if body["kind"] == "decide" else None
            yield body if said is None else parse_record(said)
    finally:
        store.close()


def _nothing(counts: Mapping[str, int], decisions: int, plan: str) -> tuple[str, str]:
    """Why there is nothing to compare, and what to do."""
    if decisions:
        return "no decision of the log is that recent", "give an earlier --since"
    if counts["decisions"]:
        message = f"none of the {counts['decisions']:,} decisions was made under the plan of this recipe, {plan[:12]}"
        return message, "give the recipe as it was when the release was built"
    return "the log holds no decision", "give the log of a release that decided on some events"


def _differences(
    decisions: Sequence[Decided], table: FeatureTable, wanted: Sequence[str], hidden: bool
) -> Iterator[Difference]:
    """Every feature of the recipe that is not the same everywhere."""
    rows = np.array([item.row for item in decisions], dtype=np.int64)
    for name in wanted:
        told = [item.features.get(name, _ABSENT) for item in decisions]
        if name in decisions[0].lookups:
            computed = [item.lookups[name] for item in decisions]
        else:
            computed = _plain(table.frame[name].to_numpy()[rows])
        missing = sum(value is _ABSENT for value in told)
        pairs = enumerate(zip(told, computed, strict=True))
        wrong = [at for at, (one, other) in pairs if one is not _ABSENT and not _same(one, other)]
        if wrong:
            first = decisions[wrong[0]]
            event = None if hidden else first.event_id
            example = Example(event, first.time, told[wrong[0]], computed[wrong[0]])
            yield Difference(name, len(wrong), missing, 0, sum(decisions[at].late for at in wrong), example)
        elif missing:
            yield Difference(name, 0, missing, 0, 0, None)


def _extras(decisions: Sequence[Decided], known: Sequence[str]) -> Iterator[Difference]:
    """What the log holds and the recipe does not know."""
    for name in dict.fromkeys(name for item in decisions for name in item.features):
        if name not in known:
            yield Difference(name, 0, 0, sum(name in item.features for item in decisions), 0, None)


def _plain(values: np.ndarray[Any, np.dtype[Any]]) -> list[Any]:
    """A column of features as a log holds it: numbers as the float64 of their float32, null as None."""
    listed: list[Any] = values.tolist() if values.dtype == object else values.astype(np.float64).tolist()
    return [None if value is None or value != value else value for value in listed]


def _same(one: Any, other: Any) -> bool:
    """Equal texts, both null, or numbers of the same bits."""
    if isinstance(one, bool) or type(one) is int:
        one = float(one)
    if not isinstance(one, float) or not isinstance(other, float):
        return bool(one == other and type(one) is type(other))
    return one == other and (one != 0 or str(one) == str(other))
