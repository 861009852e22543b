"""What the columns of a stranger's table are: a DataFrame in, guesses with their reasons out.

It looks at names first and values second, and says which of the two convinced it. It never looks at the label to choose
an input, except to refuse columns that give the label away. What it cannot guess it leaves empty for the caller to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from riskml.errors import DataError, UsageError, near_matches

if TYPE_CHECKING:
    import pandas as pd

_WORDS = {
    "time": ("event_time", "timestamp", "datetime", "created_at", "created", "time", "date", "ts", "datum", "zeit"),
    "label": (
        "is_fraud",
        "fraud",
        "label",
        "isfraud",
        "chargeback",
        "cbk",
        "fraudulent",
        "flag",
        "target",
        "class",
        "y",
        "betrug",
    ),
    "id": ("event_id", "transaction_id", "txn_id", "tx_id", "order_id", "payment_id", "id", "uuid"),
    "amount": ("amount", "amount_usd", "amt", "value", "price", "total", "usd", "eur", "betrag"),
    "entity": (
        *("user", "customer", "client", "account", "card", "device", "ip", "email", "phone", "merchant"),
        *("terminal", "address", "payer", "payee", "sender", "receiver", "iban", "wallet", "beneficiary", "cookie"),
        *("kunde", "kunden", "konto", "karte"),
    ),
}
_LATER = (
    *("fraud", "chargeback", "dispute", "label", "scenario", "status", "decision", "blocked", "review", "rule"),
    *("alert", "refund", "outcome", "attributed", "target", "known"),
)
_IDENTIFIER = ("id", "uuid", "hash", "iban", "email", "phone", "ip", "index")
_FRAUD = frozenset({"1", "1.0", "true", "t", "yes", "y", "fraud", "fraudulent"})
_GOOD = frozenset({"0", "0.0", "false", "f", "no", "n", "good", "legit", "legitimate", "genuine", "not fraud"})
_COMMA = re.compile(r"\s*-?\d[\d.]*,\d+\s*")
MAX_ENTITIES = 6
MAX_CATEGORIES = 100
MAX_SAID = 8  # columns named as left out
SAMPLE = 200_000  # rows looked at


@dataclass(frozen=True)
class Named:
    """Columns by meaning; "" where not given or not found."""

    time: str = ""
    id: str = ""
    label: str = ""
    amount: str = ""
    entities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    """The columns, the inputs a model may read, why each was chosen, and what was left out and why."""

    columns: Named
    inputs: tuple[str, ...]
    reasons: tuple[str, ...]


def guess(frame: pd.DataFrame, given: Named) -> Guess:
    """Guess what ``given`` leaves open.

    Raises:
        UsageError: a given column does not exist.
        DataError: the table has no rows, the amount no numbers, or the label one class only.
    """
    if frame.empty:
        raise DataError("the table has no rows", "give a table with one row per event")
    for name in (given.time, given.id, given.label, given.amount, *given.entities):
        if name and name not in frame.columns:
            raise UsageError(f"no column `{name}` in the table", near_matches(name, frame.columns))
    _refuse_unfit(frame, given)
    head = frame.head(SAMPLE)
    reasons: list[str] = []
    taken = {name for name in (given.time, given.id, given.label, given.amount, *given.entities) if name}
    found = given
    for what, test in (("time", _is_time), ("label", _is_label), ("id", _is_id), ("amount", _is_amount)):
        if getattr(given, what):
            reasons.append(f"{what}: {getattr(given, what)} (as you said)")
            continue
        name, why = _best(frame if what == "label" else head, what, test, taken)
        if what == "label" and not name:
            _refuse_one_class(frame, taken)
            name, why = _only_binary(head, taken), "the only column of 0 and 1"
        reasons.append(f"{what}: {name} ({why})" if name else f"{what}: none found")
        found = _with(found, what, name)
        taken.add(name)
    if given.entities:
        reasons.append(f"entities: {', '.join(given.entities)} (as you said)")
    else:
        entities = _entities(head, taken)
        found = replace(found, entities=entities)
        words = (
            f"{', '.join(entities)} (names of who or what acts, with values that return)" if entities else "none found"
        )
        reasons.append(f"entities: {words}")
    inputs, left = _inputs(head, found)
    reasons.append(f"inputs: {', '.join(inputs) or 'none'}")
    if left:
        more = f"; and {len(left) - MAX_SAID} more" if len(left) > MAX_SAID else ""
        reasons.append("left out: " + "; ".join(left[:MAX_SAID]) + more)
    return Guess(found, inputs, tuple(reasons))


def _with(found: Named, what: str, name: str) -> Named:
    return Named(
        time=name if what == "time" else found.time,
        id=name if what == "id" else found.id,
        label=name if what == "label" else found.label,
        amount=name if what == "amount" else found.amount,
        entities=found.entities,
    )


def _best(frame: pd.DataFrame, what: str, test: Any, taken: set[str]) -> tuple[str, str]:
    """The column whose name fits best among those whose values fit; ("", "") if none does."""
    ranked = sorted(
        (_rank(str(name), _WORDS[what]), place, str(name))
        for place, name in enumerate(frame.columns)
        if str(name) not in taken
    )
    for rank, _, name in ranked:
        if test(frame[name], rank < _NO_NAME):
            return name, "by name and values" if rank < _NO_NAME else "by values"
    return "", ""


_NO_NAME = 1000


def _rank(name: str, words: Iterable[str]) -> int:
    """How early in ``words`` the name is found, whole names before parts; ``_NO_NAME`` if nowhere."""
    text = name.casefold()
    parts = [p for p in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).casefold()) if p]
    listed = list(words)
    if text in listed:
        return listed.index(text)
    hits = [index for index, word in enumerate(listed) if word in parts]
    return 100 + min(hits) if hits else _NO_NAME


def _is_time(values: pd.Series[Any], named: bool) -> bool:
    import pandas as pd

    from riskml.data.clock import to_micros

    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    if pd.api.types.is_bool_dtype(values) or (pd.api.types.is_numeric_dtype(values) and not named):
        return False
    some = values.dropna().head(1000)
    if some.empty:
        return False
    try:
        to_micros(some, "UTC")
    except DataError:
        return False
    return True


def _is_label(values: pd.Series[Any], named: bool) -> bool:
    return named and _binary(values)


def _classes(values: pd.Series[Any]) -> tuple[str, ...]:
    """The distinct words of a column that could be a label, as written; () if any other value is among them."""
    distinct = [str(v) for v in values.dropna().unique()[:10]]
    words = {_word(v) for v in distinct}
    return tuple(distinct) if words <= _FRAUD | _GOOD and len(words) <= 2 else ()


def _word(value: object) -> str:
    return str(value).strip().casefold()


def _binary(values: pd.Series[Any]) -> bool:
    words = {_word(value) for value in _classes(values)}
    return len(words & _FRAUD) == 1 and len(words & _GOOD) == 1


def _refuse_unfit(frame: pd.DataFrame, given: Named) -> None:
    import pandas as pd

    amount = frame[given.amount] if given.amount else None
    if amount is not None and not (pd.api.types.is_numeric_dtype(amount) and amount.notna().any()):
        raise DataError(f"the amounts of `{given.amount}` are no numbers", "write them plainly, such as 1234.50")
    if given.label:
        _refuse_one(frame[given.label])


def _refuse_one_class(frame: pd.DataFrame, taken: set[str]) -> None:
    """Refuse a table whose columns named like a label hold one class only, rather than take another column."""
    for name in map(str, frame.columns):
        if name not in taken and _rank(name, _WORDS["label"]) < _NO_NAME:
            _refuse_one(frame[name])


def _refuse_one(label: pd.Series[Any]) -> None:
    words = _classes(label)
    if len({_word(word) for word in words}) == 1:
        raise DataError(
            f"`{label.name}` holds only {words[0]}",
            "a model learns from frauds and goods: give a table with both, or another column with --label",
        )


def _only_binary(frame: pd.DataFrame, taken: set[str]) -> str:
    """The one column of 0 and 1, if exactly one is left and its ones are few; else ""."""
    found = [name for name in map(str, frame.columns) if name not in taken and _binary(frame[name])]
    return found[0] if len(found) == 1 and positive(frame[found[0]]).mean() < 0.5 else ""


def positive(values: pd.Series[Any]) -> pd.Series[bool]:
    """Which values mean fraud; null does not."""
    import numpy as np
    import pandas as pd

    codes, words = pd.factorize(values, use_na_sentinel=True)
    meaning = np.array([_word(word) in _FRAUD for word in words] + [False])  # code -1, a null, is the last
    return pd.Series(meaning[codes], index=values.index, name=values.name)


def _is_id(values: pd.Series[Any], named: bool) -> bool:
    import pandas as pd

    if pd.api.types.is_float_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
        return False
    return bool(values.notna().all() and values.is_unique) and (named or not pd.api.types.is_bool_dtype(values))


def _is_amount(values: pd.Series[Any], named: bool) -> bool:
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    return bool(named and numeric and values.nunique() > 2)


def _entities(frame: pd.DataFrame, taken: set[str]) -> tuple[str, ...]:
    import pandas as pd

    found = []
    for name in map(str, frame.columns):
        values = frame[name]
        if name in taken or pd.api.types.is_datetime64_any_dtype(values):
            continue
        if pd.api.types.is_float_dtype(values) and not (values.dropna() % 1 == 0).all():
            continue
        rank = _rank(name, _WORDS["entity"])
        distinct = values.nunique()
        if rank < _NO_NAME and 2 < distinct < 0.95 * len(values):
            found.append((rank, name))
    return tuple(name for _, name in sorted(found)[:MAX_ENTITIES])


def _inputs(frame: pd.DataFrame, columns: Named) -> tuple[tuple[str, ...], list[str]]:
    """The allow-list, and each column kept off it with the reason."""
    import pandas as pd

    from riskml.data.clock import numbered_dates

    meant = {columns.time, columns.id, columns.label, *columns.entities}
    kept, left = [], []
    for name in map(str, frame.columns):
        values = frame[name]
        if name in meant:
            continue
        if pd.api.types.is_datetime64_any_dtype(values) or _is_time(values, False) or numbered_dates(values):
            left.append(f"{name} (a time)")
        elif name != columns.amount and _rank(name, _IDENTIFIER) < _NO_NAME:
            left.append(f"{name} (an identifier)")
        elif name != columns.amount and _rank(name, _LATER) < _NO_NAME:
            left.append(f"{name} (sounds like something known only later)")
        elif _gives_away(values, frame[columns.label] if columns.label else None):
            left.append(f"{name} (gives the label away)")
        elif _with_commas(values):
            left.append(f"{name} (numbers with decimal commas: write points)")
        elif pd.api.types.is_numeric_dtype(values) or values.nunique() <= MAX_CATEGORIES:
            if name != columns.amount and pd.api.types.is_integer_dtype(values) and values.is_monotonic_increasing:
                left.append(f"{name} (a counter or clock)")
            else:
                kept.append(name)
        else:
            left.append(f"{name} (too many different values)")
    return tuple(kept), left


def _with_commas(values: pd.Series[Any]) -> bool:
    """Whether the texts are numbers such as 1.234,50."""
    some = values.dropna().head(1000)
    return not some.empty and bool(some.map(lambda v: isinstance(v, str) and bool(_COMMA.fullmatch(v))).all())


def _gives_away(values: pd.Series[Any], label: pd.Series[Any] | None) -> bool:
    """Whether the values, or merely being filled, determine the label almost alone."""
    if label is None:
        return False
    truth = positive(label)
    if not 0 < truth.sum() < len(truth):
        return False
    filled = values.notna()
    if filled.nunique() == 2 and (filled == truth).mean() > 0.999:
        return True
    if values.nunique() > MAX_CATEGORIES:
        return False
    share = truth.groupby(values.astype(str)).agg(["mean", "size"])
    pure = share[(share["mean"] > 0.99) & (share["size"] >= 5)]
    return bool((pure["mean"] * pure["size"]).sum() > 0.9 * truth.sum())
