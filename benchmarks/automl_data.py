"""The tables every system gets: point-in-time features by riskml's own engine, cut into train and test by time.

In go a data name and, for public data, its Parquet file; out come cells, one per split: the rows of train and test, the
outcome, the time where there is one, and which columns are categories. A name that is none of ``NAMES`` is refused.
The same Parquet file of a cell is read by every system, so nobody sees a column the others do not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from riskml.data.labels import label_log
from riskml.data.split import folds
from riskml.data.tables import read_tables
from riskml.features.compile import compile_plan
from riskml.features.local import compute
from riskml.recipe.parse import load_recipe, parse_recipe

ROOT = Path(__file__).parents[1]
WORLDS = ("account_takeover", "guest_checkout", "scam", "transfer_risk")
PUBLIC = ("fdh_raw", "talkingdata_train_sample", "cloudwalk_transactional_sample", "eth_fraud_kaggle9841")
NAMES = (*PUBLIC, *WORLDS)
OUTCOME, TIME, TEST, CARD = "_outcome", "_time", "_test", "_card"  # beside the features; never inputs
SPLITS = 3

VELOCITY: Mapping[str, Any] = {"source": "events", "over": ["1h", "1d"], "compute": ["count", "since_last"]}
RISK: Mapping[str, Any] = {"source": "events", "compute": ["rate"], "prior": 0.01, "strength": 20.0}


@dataclass(frozen=True)
class Cell:
    """One split of one data set: features, then the columns ``OUTCOME``, ``TIME`` and ``TEST``."""

    name: str
    frame: pd.DataFrame
    categories: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """``NAME.parquet`` and ``NAME.json`` in ``folder``; the path of the first."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.parquet"
        self.frame.to_parquet(path, index=False)
        path.with_suffix(".json").write_text(json.dumps({"categories": list(self.categories)}), encoding="utf-8")
        return path


def cells(name: str, data: Path | None, work: Path) -> Iterator[Cell]:
    """The cells of a data set; ``data`` is its Parquet file, None for the sample worlds."""
    if name == "fdh_raw":
        yield from _handbook(_need(name, data), work)
    elif name in WORLDS:
        yield from _timed(name, load_recipe(ROOT / "recipes" / f"{name}.toml"))
    elif name == "talkingdata_train_sample":
        yield from _timed(name, _clicks(_need(name, data), work))
    elif name == "cloudwalk_transactional_sample":
        yield from _timed(name, _payments(_need(name, data), work))
    elif name == "eth_fraud_kaggle9841":
        yield from _accounts(_need(name, data))
    else:
        raise SystemExit(f"no data set `{name}`: {', '.join(NAMES)}")


def _need(name: str, data: Path | None) -> Path:
    if data is None:
        raise SystemExit(f"`{name}` needs its Parquet file: --data {name}=FILE")
    return data


def _handbook(data: Path, work: Path) -> Iterator[Cell]:
    """The chapter-3 split and the three other prequential folds, seven days of training each."""
    from benchmarks import handbook

    cached = work / "fdh_raw.features.parquet"
    if cached.exists():
        frame = pd.read_parquet(cached)
        made = frame[[TIME, CARD, OUTCOME]]
        cards = handbook.Cards(*(made[key].to_numpy(np.int64) for key in (TIME, CARD, OUTCOME)))
        frame = frame.drop(columns=[TIME, CARD, OUTCOME])
    else:
        cards, frame = handbook.read(data)
        work.mkdir(parents=True, exist_ok=True)
        frame.assign(**{TIME: cards.day, CARD: cards.card, OUTCOME: cards.fraud}).to_parquet(cached, index=False)
    names = [name for name in frame.columns if not name.startswith(handbook.ONLY_PARTS)]
    for opens in handbook.PREQUENTIAL:
        yield _week(f"fdh_raw-{opens}", cards, frame[names], *handbook.split(cards, opens))


def _week(name: str, cards: Any, frame: pd.DataFrame, train: npt.NDArray[Any], test: npt.NDArray[Any]) -> Cell:
    rows = np.concatenate([train, test])
    extra = {
        OUTCOME: cards.fraud[rows],
        TIME: cards.day[rows] * 86_400_000_000,
        TEST: np.repeat([False, True], [len(train), len(test)]),
        CARD: cards.card[rows],
    }
    return Cell(name, frame.take(rows).reset_index(drop=True).assign(**extra), ())


def week(cards: Any, frame: pd.DataFrame, opens: date, history: bool = False) -> Cell:
    """One test week of the Handbook on any features: for choices on early weeks."""
    from benchmarks import handbook

    return _week(f"fdh_raw-{opens}", cards, frame, *handbook.split(cards, opens, history))


def _timed(name: str, recipe: Any) -> Iterator[Cell]:
    """Three later blocks of a recipe's events, each judged by a model of what was known before it."""
    tables = read_tables(recipe)
    log = label_log(recipe, tables)
    table = compute(compile_plan(recipe), tables, log)
    outcome = log.outcome(int(tables.as_of))
    rows = np.flatnonzero(outcome >= 0)
    rows = rows[np.argsort(table.time[rows], kind="stable")]
    time, y = table.time[rows], outcome[rows].astype(np.int8)
    names = {column: _plain(column) for column in table.frame.columns}
    frame = table.frame.take(rows).reset_index(drop=True).rename(columns=names)
    categories = tuple(names[column] for column, kind in table.kinds.items() if kind == "category")
    for at, fold in enumerate(folds(time, y, SPLITS, recipe.labels.matures_after).folds):
        chosen = np.concatenate([fold.train, fold.valid])
        extra = {
            OUTCOME: y[chosen].astype(np.int64),
            TIME: time[chosen],
            TEST: np.repeat([False, True], [len(fold.train), len(fold.valid)]),
        }
        yield Cell(f"{name}-{at}", frame.take(chosen).reset_index(drop=True).assign(**extra), categories)


def _clicks(data: Path, work: Path) -> Any:
    """Clicks on advertisements: how busy an address, a device and an application are, and what became of them."""
    frame = pd.read_parquet(data)
    codes = ["app", "device", "os", "channel", "ip"]
    frame = frame.assign(**{name: frame[name].astype(str) for name in codes}, click_id=np.arange(len(frame)))
    path = _put(frame.drop(columns="attributed_time"), work, "talkingdata")
    by: list[Any] = ["ip", "app", ["ip", "app"], ["ip", "device", "os"]]
    return parse_recipe(
        {
            "threat": {"name": "talkingdata"},
            "events": {
                "path": str(path),
                "id": "click_id",
                "time": "click_time",
                "timezone": "UTC",
                "entities": {name: name for name in codes},
                "inputs": ["app", "device", "os", "channel"],
            },
            "labels": {"label": "is_attributed", "matures_after": "1h", "absent": "good"},
            "features": [
                dict(VELOCITY, by=by),
                {"source": "events", "by": "ip", "over": ["1d"], "compute": ["distinct(app)", "distinct(channel)"]},
                dict(RISK, by=["app", "channel", "ip", "os", ["app", "channel"]], over=["ever"]),
            ],
            "derive": {"hour": "hour_of_day(click_time)"},
        },
        base=path.parent,
    )


def _payments(data: Path, work: Path) -> Any:
    """Card payments with chargebacks: how much and how often each of user, card, device and merchant pays."""
    frame = pd.read_parquet(data)
    keys = ["merchant_id", "user_id", "card_number", "device_id"]
    frame = frame.assign(**{name: frame[name].astype("string").astype(object) for name in keys})
    path = _put(frame.assign(has_cbk=frame["has_cbk"].astype(int)), work, "cloudwalk")
    by: list[Any] = ["user", "card", "device", "merchant"]
    return parse_recipe(
        {
            "threat": {"name": "cloudwalk"},
            "events": {
                "path": str(path),
                "id": "transaction_id",
                "time": "transaction_date",
                "timezone": "UTC",
                "amount": "transaction_amount",
                "entities": {name.split("_")[0]: name for name in keys},
                "inputs": ["transaction_amount"],
            },
            "labels": {"label": "has_cbk", "matures_after": "2d", "absent": "good"},
            "features": [
                dict(VELOCITY, by=by, over=["1h", "1d", "7d"]),
                {
                    "source": "events",
                    "by": by,
                    "over": ["1d", "ever"],
                    "compute": ["sum(transaction_amount)", "mean(transaction_amount)"],
                },
                {"source": "events", "by": ["user", "device"], "over": ["7d"], "compute": ["distinct(card_number)"]},
                dict(RISK, by=by, over=["ever"], prior=0.1),
            ],
            "derive": {"hour": "hour_of_day(transaction_date)"},
        },
        base=path.parent,
    )


def _accounts(data: Path) -> Iterator[Cell]:
    """Ethereum accounts without a clock: three stratified folds by a fixed seed, said openly to be no time split."""
    frame = pd.read_parquet(data)
    y = frame["FLAG"].to_numpy(np.int64)
    frame = frame.drop(columns=["Unnamed: 0", "Index", "Address", "FLAG"])
    frame = frame.rename(columns={column: _plain(column) for column in frame.columns})
    texts = tuple(column for column in frame.columns if not pd.api.types.is_numeric_dtype(frame[column]))
    place = np.empty(len(y), dtype=np.int64)
    draw = np.random.default_rng(0)
    for outcome in (0, 1):
        rows = draw.permutation(np.flatnonzero(y == outcome))
        place[rows] = np.arange(len(rows)) % SPLITS
    for at in range(SPLITS):
        extra = {OUTCOME: y, TEST: place == at}
        yield Cell(f"eth_fraud_kaggle9841-{at}", frame.assign(**extra), texts)


def _put(frame: pd.DataFrame, work: Path, name: str) -> Path:
    """The prepared events as a file a recipe can name."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{name}.events.parquet"
    frame.to_parquet(path, index=False)
    return path.resolve()


def _plain(column: str) -> str:
    """A column name every system can store."""
    return re.sub(r"\W+", "_", column.strip()).strip("_")
