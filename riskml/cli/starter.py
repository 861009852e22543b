"""The commented recipe ``riskml init --from`` writes: a table and guesses about it in, the text of a TOML file out.

Windows are bounded, so that no feature grows with the age of the log; features follow from the entities, and the rule
is a stand-in that says it is one, or is left out where no number could carry one.
Every value is escaped, so no column name can break or extend the recipe.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from riskml.cli.guess import Guess, positive
from riskml.errors import DataError
from riskml.recipe.spec import DAY

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORT_DAYS = 2.0
ALERT_SHARE = 0.01  # share of events the stand-in rule alerts on


def starter_recipe(frame: pd.DataFrame, made: Guess, path: str, title: str) -> str:
    """The recipe's text.

    Args:
        frame: the table.
        made: what its columns mean.
        path: where the recipe will find the table, relative to itself.
        title: name of the threat.

    Raises:
        DataError: no time can be read, or the log is shorter than two days.
    """
    columns = made.columns
    days = _days(frame[columns.time])
    if not days >= _SHORT_DAYS:
        raise DataError(
            f"column `{columns.time}` spans {days:.1f} days, too short to train on the past and judge on the future",
            "give a longer log, or another column with --time",
        )
    entities = _entity_names(columns.entities)
    amount = columns.amount
    rule = _rule(frame, made)
    naive = _naive(frame[columns.time])
    parts = [
        f"# {_comment(title)}: a first recipe, made by `riskml init`. Every line is yours to change.",
        "# `riskml check recipe.toml` says at once what does not fit the data.",
        "",
        "[threat]",
        f"name = {_text(_slug(title))}",
        "",
        "[events]                    # one row per decision the model will make",
        f"path = {_text(path)}",
        f"id = {_text(columns.id or 'event_id')}",
        f"time = {_text(columns.time)}",
        *(
            ['timezone = "UTC"            # the times in the table have no zone: say which one they are in']
            if naive
            else []
        ),
        *([f"amount = {_text(amount)}"] if amount else []),
        f"entities = {{ {', '.join(f'{name} = {_text(column)}' for name, column in entities.items())} }}",
        f"inputs = [{', '.join(_text(name) for name in made.inputs)}]   # raw columns the model may read",
        "",
        "[labels]",
        f"label = {_text(columns.label)}",
        f'matures_after = "{_span(days * 0.05)}"   # how long until silence means good: put your own',
        'absent = "good"',
        "",
        *(rule or _NO_RULE),
        *_features(entities, amount),
        "[train]                     # train | gap | calibrate | gap | test, the gap being matures_after",
        f'test = "{_span(days * 0.22)}"',
        f'calibrate = "{_span(days * 0.13)}"',
        "trials = 10",
        *([] if rule else [f"alerts_per_day = {max(1, round(len(frame) / days * ALERT_SHARE))}"]),
        "",
        "[backtest]",
        'question = "replace"        # may the model replace the rule? "add": may it work beside the rule?',
        f"cluster_by = [{_text(next(iter(entities)))}]",
        "",
    ]
    return "\n".join(parts)


def _days(values: pd.Series[Any]) -> float:
    """Days from the first time to the last; times without a zone count as UTC."""
    from riskml.data.clock import NEVER, to_micros

    micros = to_micros(values, "UTC")
    known = micros[micros != NEVER]
    return float(known.max() - known.min()) / DAY if len(known) else 0.0


def _naive(values: pd.Series[Any]) -> bool:
    from riskml.data.clock import to_micros

    try:
        to_micros(values.head(1000), None)
    except DataError:
        return True
    return False


_NO_RULE = [
    "# backtest and package need the rule you run today; no column here is a number a stand-in could use:",
    "# [rule]",
    "# enforced = false",
    "# [[rule.version]]",
    "# when = 'country == \"NL\"'",
    "",
]


def _rule(frame: pd.DataFrame, made: Guess) -> list[str]:
    """A stand-in on the amount, or else on the number that tells frauds best; [] if there is none."""
    amount = made.columns.amount
    if amount:
        when, about = _extreme(frame[amount], amount, True), "a stand-in, the largest one in a hundred"
    else:
        name, high = _telling(frame, made)
        if not name:
            return []
        about = "a stand-in on the column nearest to fraud"
        when = _extreme(frame[name], name, high)
    return [
        f"[rule]                      # {about}: write the rule you run today",
        "enforced = false            # true if what fired was stopped, so that its outcome is unknown",
        "[[rule.version]]",
        f"when = {_text(when)}",
        "",
    ]


def _extreme(values: pd.Series[Any], name: str, high: bool) -> str:
    """An expression true for about one row in a hundred, and for one at least."""
    line = float(f"{values.quantile(1 - ALERT_SHARE if high else ALERT_SHARE):.2g}")
    beyond = (values > line) if high else (values < line)
    if not beyond.any():
        line = float(values.max() if high else values.min())
    number = int(line) if line.is_integer() else line
    sign = (">" if high else "<") + ("" if beyond.any() else "=")
    return f"{name} {sign} {number}"


def _telling(frame: pd.DataFrame, made: Guess) -> tuple[str, bool]:
    """The number that ranks frauds furthest from the goods, and whether frauds are high; ("", True) if none varies."""
    import pandas as pd

    truth = positive(frame[made.columns.label])
    best, found = 0.0, ("", True)
    for name in made.inputs:
        values = frame[name]
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values) or values.nunique() < 2:
            continue
        share = values.rank(pct=True)
        apart = float(share[truth].mean() - share[~truth].mean())
        if abs(apart) > best:
            best, found = abs(apart), (name, apart > 0)
    return found


def _features(entities: dict[str, str], amount: str) -> list[str]:
    names = list(entities)
    money = "".join(f", {_text(f'{what}({amount})')}" for what in ("sum", "mean", "max")) if amount else ""
    parts = [
        "[[features]]                # how much, how often, how recently",
        'source = "events"',
        f"by = [{', '.join(_text(name) for name in names)}]",
        'over = ["1h", "1d", "7d", "30d"]',
        f'compute = ["count"{money}]',
        "",
        "[[features]]",
        'source = "events"',
        f"by = [{', '.join(_text(name) for name in names)}]",
        'over = ["30d"]              # bounded: "ever" would grow with the age of the log',
        'compute = ["since_first", "since_last"]',
        "",
        "[[features]]                # share of frauds, of what has matured",
        'source = "events"',
        f"by = [{', '.join(_text(name) for name in names)}]",
        'over = ["30d"]',
        'compute = ["rate(label)"]',
        "",
    ]
    if len(names) > 1:
        pairs = ", ".join(f"[{_text(names[0])}, {_text(other)}]" for other in names[1:])
        parts += [
            f"[[features]]                # new for this {names[0]}",
            'source = "events"',
            f"by = [{pairs}]",
            'over = ["30d"]',
            'compute = ["is_new", "count"]',
            "",
        ]
    return parts


def _entity_names(columns: tuple[str, ...]) -> dict[str, str]:
    """Short plain names for the entity columns: ``CUSTOMER_ID`` becomes ``customer``."""
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"[^a-z0-9]+", "_", column.casefold()).strip("_")
        name = re.sub(r"_(id|key|no|number|hash)$", "", name) or "entity"
        if not _PLAIN.fullmatch(name):
            name = f"entity_{name}"
        while name in names:
            name += "_2"
        names[name] = column
    return names


def _span(days: float) -> str:
    """Whole days from two on, whole hours below."""
    return f"{round(days)}d" if days >= 2 else f"{max(1, round(days * 24))}h"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.casefold()).strip("-") or "threat"


def _comment(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
