"""The commented recipe ``riskml init --from`` writes: a table and guesses about it in, the text of a TOML file out.

Windows fit the length of the log, features follow from the entities, and the rule is a stand-in that says it is one.
Every value is escaped, so no column name can break or extend the recipe.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from riskml.cli.guess import Guess
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
    amount = columns.amount if _PLAIN.fullmatch(columns.amount or "-") else ""
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
        *_rule(frame, amount),
        *_features(entities, amount),
        "[train]                     # train | gap | calibrate | gap | test, the gap being matures_after",
        f'test = "{_span(days * 0.22)}"',
        f'calibrate = "{_span(days * 0.13)}"',
        "trials = 10",
        *([] if amount else [f"alerts_per_day = {max(1, round(len(frame) / days * ALERT_SHARE))}"]),
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


def _rule(frame: pd.DataFrame, amount: str) -> list[str]:
    if not amount:
        return []
    line = float(f"{frame[amount].quantile(1 - ALERT_SHARE):.2g}")
    number = int(line) if line.is_integer() else line
    return [
        "[rule]                      # a stand-in, the largest one in a hundred: write the rule you run today",
        "enforced = false            # true if what fired was stopped, so that its outcome is unknown",
        "[[rule.version]]",
        f'when = "{amount} > {number}"',
        "",
    ]


def _features(entities: dict[str, str], amount: str) -> list[str]:
    names = list(entities)
    money = ', "sum(' + amount + ')", "mean(' + amount + ')", "max(' + amount + ')"' if amount else ""
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
        'compute = ["since_first", "since_last"]',
        "",
        "[[features]]                # share of frauds so far, of what has matured",
        'source = "events"',
        f"by = [{', '.join(_text(name) for name in names)}]",
        'over = ["30d", "ever"]',
        'compute = ["rate(label)"]',
        "",
    ]
    if len(names) > 1:
        pairs = ", ".join(f"[{_text(names[0])}, {_text(other)}]" for other in names[1:])
        parts += [
            f"[[features]]                # new for this {names[0]}",
            'source = "events"',
            f"by = [{pairs}]",
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
