"""From a TOML file, its includes and ``--set`` overrides to a frozen ``Recipe``; every problem at once.

Checks here need no data: keys, types, choices, references between sections, and that each expression parses. Paths in
a recipe are relative to the recipe, paths in an override to the working directory.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from riskml.errors import ExpressionError, RecipeError, UsageError, near_matches
from riskml.expression import parse as parse_expression
from riskml.recipe import spec
from riskml.recipe.build import Problems, build

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME_RULE = "must be letters, digits, `-` and `_`, at most 64: it names a folder and the release"
_PART = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PART_RULE = "must be letters, digits and `_`, a letter first: it becomes part of feature names"
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_SECTIONS = (
    "threat",
    "events",
    "sources",
    "tables",
    "labels",
    "rule",
    "features",
    "network",
    "packs",
    "derive",
    "train",
    "backtest",
    "package",
)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> spec.Recipe:
    """Read, merge and validate a recipe.

    Args:
        path: the TOML file.
        overrides: texts ``KEY=VALUE``; the value is TOML, or plain text where it is no valid TOML.

    Raises:
        UsageError: the file cannot be read.
        RecipeError: everything wrong in it.
    """
    file = Path(path)
    problems = Problems(file.name)
    body = _read(file, problems)
    origin: dict[str, str] = {}
    body = _with_includes(body, file, problems, origin)
    for text in overrides:
        _override(body, text, problems, origin)
    problems.origin = origin
    return _recipe(body, file.resolve().parent, file.resolve(), tuple(overrides), problems)


def parse_recipe(body: Mapping[str, Any], base: Path | str = ".", file: Path | None = None) -> spec.Recipe:
    """A recipe from a mapping shaped like the TOML; ``base`` is where its relative paths start."""
    problems = Problems(file.name if file else "recipe")
    return _recipe(dict(body), Path(base).resolve(), file, (), problems)


def _read(file: Path, problems: Problems) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        folder = file.parent if file.parent.is_dir() else Path()
        near = near_matches(file.name, [p.name for p in folder.glob("*.toml")])
        raise UsageError(
            f"no recipe at {file}", near or "give the path of a TOML recipe, or make one with `riskml init DIR`"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{file} is a folder, not a recipe", "give the path of the TOML file inside it") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not a text file", "a recipe is a TOML file in UTF-8") from None
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.add("", f"is not valid TOML: {error}", "see https://toml.io for the format")
        raise RecipeError(problems.found) from None


def _with_includes(body: dict[str, Any], file: Path, problems: Problems, origin: dict[str, str]) -> dict[str, Any]:
    """Merge the files of ``include`` under the recipe: lists of tables are joined, other values give way."""
    names = body.pop("include", [])
    if isinstance(names, str):
        names = [names]
    merged: dict[str, Any] = {}
    for name in names:
        part = _read(file.parent / str(name), Problems(str(name)))
        if "include" in part:
            problems.add("include", f"{name} includes further files", "include them from the recipe itself")
            part.pop("include")
        for key, value in part.items():
            if key not in body:
                origin[key] = str(name)
            merged[key] = _merge(merged.get(key), value)
    for key, value in body.items():
        merged[key] = _merge(merged.get(key), value)
    return merged


def _merge(under: Any, over: Any) -> Any:
    if isinstance(under, dict) and isinstance(over, dict):
        return {**under, **{k: _merge(under.get(k), v) for k, v in over.items()}}
    if isinstance(under, list) and isinstance(over, list):
        return [*under, *over]
    return over


def _override(body: dict[str, Any], text: str, problems: Problems, origin: dict[str, str]) -> None:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise UsageError(f"--set {text}: not KEY=VALUE", "write it as --set train.trials=20")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    if parts[-1] in ("path", "storage", "warm_start") and isinstance(parsed, str) and "://" not in parsed:
        parsed = str(Path(parsed).absolute())
    place = body
    for depth, part in enumerate(parts[:-1], 1):
        if part not in place:
            origin[".".join(parts[:depth])] = "--set"
        step = place.setdefault(part, {})
        if not isinstance(step, dict):
            problems.add(key, f"cannot be set: `{part}` is not a table")
            return
        place = step
    place[parts[-1]] = parsed
    origin[".".join(parts)] = "--set"


def _recipe(
    body: dict[str, Any], base: Path, file: Path | None, overrides: tuple[str, ...], problems: Problems
) -> spec.Recipe:
    for key in body:
        if key not in _SECTIONS:
            problems.add(key, "unknown section", near_matches(key, _SECTIONS) or f"known: {', '.join(_SECTIONS)}")
    made: dict[str, Any] = {}
    required: tuple[tuple[str, type[Any]], ...] = (("threat", spec.Threat), ("labels", spec.Labels))
    for key, cls in required:
        if key in body:
            made[key] = build(cls, _located(body[key], base), key, problems)
        else:
            problems.add(key, "section is missing")
    if "events" in body:
        made["events"] = build(spec.Events, _located(body["events"], base), "events", problems, {"name": "events"})
    else:
        problems.add("events", "section is missing")
    optional: tuple[tuple[str, type[Any]], ...] = (
        ("train", spec.Train),
        ("backtest", spec.Backtest),
        ("package", spec.Package),
        ("rule", spec.Rule),
    )
    placed = {**body, "train": _located(body.get("train"), base, "storage", "warm_start")}
    for key, cls in optional:
        if key in body:
            made[key] = build(cls, _versions(body[key]) if key == "rule" else placed[key], key, problems)
    made["sources"] = _sources(body.get("sources", {}), base, problems)
    made["tables"] = _tables(body.get("tables", {}), base, problems)
    made["features"] = _listed(body.get("features", []), "features", spec.FeatureGroup, problems)
    made["network"] = _listed(body.get("network", []), "network", spec.NetworkGroup, problems)
    made["packs"] = _packs(body.get("packs", {}), problems)
    made["derive"] = _texts(body.get("derive", {}), "derive", problems)
    if not problems.found:
        recipe = spec.Recipe(**made, file=file, overrides=overrides)
        _references(recipe, problems)
        _expressions(recipe, problems)
        _ranges(recipe, problems)
        if not problems.found:
            return recipe
    raise RecipeError(problems.found)


def _located(body: object, base: Path, *keys: str) -> object:
    """A table with its path, or the paths named, made absolute; database URLs stay."""
    if not isinstance(body, dict):
        return body
    paths = {key: body[key] for key in keys or ("path",) if isinstance(body.get(key), str) and "://" not in body[key]}
    return {**body, **{key: os.path.normpath(base / path) for key, path in paths.items()}}


def _versions(body: object) -> object:
    """The rule with its versions as a tuple of tables, even when one was written as a lone table."""
    if isinstance(body, dict) and isinstance(body.get("version"), dict):
        return {**body, "version": [body["version"]]}
    return body


def _sources(body: object, base: Path, problems: Problems) -> dict[str, spec.Stream]:
    if not isinstance(body, dict):
        problems.add("sources", "must hold one table per source, such as [sources.logins]")
        return {}
    made = {}
    for name, part in body.items():
        if name in ("events", "labels"):
            problems.add(f"sources.{name}", f"the name `{name}` is taken", "choose another name for this source")
        _refuse_odd_name("sources", name, problems)
        made[name] = build(spec.Stream, _located(part, base), f"sources.{name}", problems, {"name": name})
    return made


def _tables(body: object, base: Path, problems: Problems) -> dict[str, spec.Reference]:
    if not isinstance(body, dict):
        problems.add("tables", "must hold one table per reference, such as [tables.bin]")
        return {}
    made = {}
    for name, part in body.items():
        _refuse_odd_name("tables", name, problems)
        made[name] = build(spec.Reference, _located(part, base), f"tables.{name}", problems, {"name": name})
    return made


def _refuse_odd_name(section: str, name: str, problems: Problems) -> None:
    if not _PART.fullmatch(name):
        problems.add(section, f"the name `{name}` {_PART_RULE}")


def _listed(body: object, key: str, cls: type[Any], problems: Problems) -> tuple[Any, ...]:
    if not isinstance(body, list):
        problems.add(key, f"must be a list of tables, each opened by [[{key}]]")
        return ()
    return tuple(build(cls, part, f"{key}[{i}]", problems) for i, part in enumerate(body))


def _packs(body: object, problems: Problems) -> dict[str, spec.Pack]:
    """``velocity = true`` takes a pack as it is, a table changes parts of it, ``false`` leaves it out."""
    if not isinstance(body, dict):
        problems.add("packs", "must be a table with one line per pack, such as velocity = true")
        return {}
    return {
        name: spec.Pack() if part is True else build(spec.Pack, part, f"packs.{name}", problems)
        for name, part in body.items()
        if part is not False
    }


def _texts(body: object, key: str, problems: Problems) -> dict[str, str]:
    if not isinstance(body, dict):
        problems.add(key, 'must be a table of name = "expression"')
        return {}
    for name, text in body.items():
        if not isinstance(text, str):
            problems.add(f"{key}.{name}", "must be an expression in quotes")
    return {str(k): str(v) for k, v in body.items()}


def _references(recipe: spec.Recipe, problems: Problems) -> None:
    """Names in one section that must exist in another."""
    entities = recipe.events.entities
    streams: dict[str, spec.Stream] = {"events": recipe.events, "labels": recipe.events, **recipe.sources}
    for index, group in enumerate(recipe.features):
        key = f"features[{index}]"
        if group.source not in streams:
            problems.add(
                f"{key}.source",
                f"no source `{group.source}`",
                near_matches(group.source, streams) or f"known: {', '.join(streams)}",
            )
            continue
        source = streams[group.source]
        if bool(group.by) == bool(group.match):
            problems.add(key, "needs `by` or `match`, and not both")
        for name in dict.fromkeys([n for keys in group.by for n in keys] + list(group.match)):
            if name not in entities:
                problems.add(
                    f"{key}.by" if group.by else f"{key}.match",
                    f"`{name}` is no entity of the events",
                    near_matches(name, entities) or f"known: {', '.join(entities)}",
                )
            elif group.by and name not in source.entities:
                problems.add(
                    f"{key}.by",
                    f"source `{group.source}` has no entity `{name}`",
                    f"add it to sources.{group.source}.entities, or use `match`",
                )
        if group.name is None and (group.where or group.offset or group.match):
            problems.add(
                f"{key}.name", "is missing", "a feature with `where`, `offset` or `match` needs a name of its own"
            )
    for index, ring in enumerate(recipe.network):
        for name in dict.fromkeys(name for name in ring.link if ring.link.count(name) > 1):
            problems.add(f"network[{index}].link", f"names `{name}` twice", "name each entity once")
    for name in recipe.backtest.cluster_by:
        if name not in entities:
            problems.add("backtest.cluster_by", f"`{name}` is no entity of the events", near_matches(name, entities))
    for name in recipe.backtest.episode.by if recipe.backtest.episode else ():
        if name not in entities:
            problems.add("backtest.episode.by", f"`{name}` is no entity of the events", near_matches(name, entities))
    for text in recipe.backtest.segments:
        try:
            named = parse_expression(text).columns
        except ExpressionError:
            continue  # told below, with the other expressions
        for name in (name for name in named if name in recipe.events.pii):
            problems.add("backtest.segments", f"`{name}` is personal (events.pii) and would stand on the page")
    episode = recipe.backtest.episode
    if episode is not None and not spec.EPISODE_VALUE.fullmatch(episode.value):
        hint = 'write "max", "sum", or "min(sum, COLUMN)" with a column of the events such as balance_usd'
        problems.add("backtest.episode.value", f"`{episode.value}` is not a choice here", hint)
    labels = recipe.labels
    if labels.threat is not None and labels.path is None:
        problems.add("labels.threat", "is a column of the label table, and `labels.path` names none")
    if labels.path is None and labels.label is None:
        problems.add("labels", "needs `path` (a table of labels) or `label` (a column of the events)")
    if labels.path is not None:
        for key, value in (("match", labels.match), ("known_at", labels.known_at)):
            if not value:
                problems.add(f"labels.{key}", "is missing", "a table of labels needs `match` and `known_at`")
    if labels.source is not None and not labels.routes:
        problems.add(
            "labels.routes",
            "is missing",
            "say for each label source whether it is independent, alert, inferred or rule",
        )
    if recipe.rule is not None and recipe.rule.fired is None and not recipe.rule.versions:
        problems.add("rule", "needs `fired` (a column of the log) or a [[rule.version]]")


def _expressions(recipe: spec.Recipe, problems: Problems) -> None:
    """Parse every expression of the recipe once."""
    texts = [(f"features[{i}].where", g.where) for i, g in enumerate(recipe.features) if g.where]
    texts += [(f"network[{i}].where", g.where) for i, g in enumerate(recipe.network) if g.where]
    texts += [(f"derive.{name}", text) for name, text in recipe.derive.items()]
    texts += [("backtest.segments", text) for text in recipe.backtest.segments]
    texts += [(f"rule.version[{i}].when", v.when) for i, v in enumerate(recipe.rule.versions if recipe.rule else ())]
    for key, text in texts:
        try:
            parse_expression(text)
        except ExpressionError as error:
            problems.add(key, error.message, error.hint)


def _ranges(recipe: spec.Recipe, problems: Problems) -> None:
    """Numbers that must lie in a range."""
    train, back = recipe.train, recipe.backtest
    checks = [
        ("threat.name", bool(_NAME.fullmatch(recipe.threat.name)), _NAME_RULE),
        ("package.name", recipe.package.name is None or bool(_NAME.fullmatch(recipe.package.name)), _NAME_RULE),
        ("package.version", bool(_VERSION.fullmatch(recipe.package.version)), "must be like 1.4.0 or 2026-11-20a"),
        ("train.seed", 0 <= train.seed < 2**31, "must lie between 0 and 2,147,483,647"),
        ("backtest.seed", 0 <= back.seed < 2**31, "must lie between 0 and 2,147,483,647"),
        ("train.trials", 1 <= train.trials <= 100_000, "must lie between 1 and 100,000"),
        ("train.parallel", 1 <= train.parallel <= 256, "must lie between 1 and 256"),
        ("train.folds", 1 <= train.folds <= 50, "must lie between 1 and 50"),
        ("train.bag", 1 <= train.bag <= 100, "must lie between 1 and 100"),
        ("train.negatives", 0 < train.negatives <= 1, "must lie in (0, 1]"),
        ("train.seconds", train.seconds is None or 0 < train.seconds < math.inf, "must be above 0 and finite"),
        ("train.reported", train.reported is None or 0 < train.reported <= 1, "must lie in (0, 1]"),
        ("train.history", train.history is None or train.history > 0, "must be above 0"),
        ("train.half_life", train.half_life is None or train.half_life > 0, "must be above 0"),
        ("train.test", train.test > 0, "must be above 0"),
        ("train.calibrate", train.calibrate > 0, "must be above 0"),
        (
            "train.alerts_per_day",
            train.alerts_per_day is None or 0 < train.alerts_per_day < math.inf,
            "must be above 0 and finite",
        ),
        ("backtest.draws", 100 <= back.draws <= 100_000, "must lie between 100 and 100,000"),
        ("backtest.min_clusters", back.min_clusters >= 40, "may be raised above 40, not lowered"),
        ("backtest.margin_value", 0 <= back.margin_value < 1, "must lie in [0, 1)"),
        ("backtest.margin_insults", 0 <= back.margin_insults < 1, "must lie in [0, 1)"),
        ("backtest.confidence", 0.5 < back.confidence < 1, "must lie between 0.5 and 1"),
        (
            "backtest.control.per_day",
            back.control.per_day is None or 1 <= back.control.per_day <= 1_000_000,
            "must lie between 1 and 1,000,000",
        ),
        (
            "backtest.control.max_amount",
            back.control.max_amount is None or 0 < back.control.max_amount < math.inf,
            "must be above 0 and finite",
        ),
        (
            "backtest.control.days",
            spec.DAY <= back.control.days <= 365 * spec.DAY,
            'must lie between "1d" and "365d"',
        ),
        ("backtest.allowance", 0 < back.allowance <= 100, "must lie in (0, 100]"),
        (
            "backtest.sign_off",
            back.sign_off is None or 0 < back.sign_off < train.test,
            "must be above 0 and shorter than train.test, whose last part it seals",
        ),
        ("backtest.segments", len(set(back.segments)) == len(back.segments), "names a segment twice"),
        ("backtest.segment_recall", 0 <= back.segment_recall <= 1, "must lie in [0, 1]"),
        ("backtest.segment_insults", 0 <= back.segment_insults < math.inf, "must be at least 0 and finite"),
    ]
    for index, group in enumerate(recipe.features):
        checks.append(
            (f"features[{index}].over", all(w is None or w > 0 for w in group.over), "windows must be above 0")
        )
        checks.append(
            (f"features[{index}].prior", 0 <= group.prior <= 1 and math.isfinite(group.prior), "must lie in [0, 1]")
        )
        checks.append((f"features[{index}].strength", 0 < group.strength < math.inf, "must be above 0 and finite"))
        checks.append((f"features[{index}].compute", bool(group.compute), "names nothing to compute"))
    for index, ring in enumerate(recipe.network):
        checks.append((f"network[{index}].compute", bool(ring.compute), "names nothing to compute"))
        checks.append((f"network[{index}].max_degree", ring.max_degree >= 2, "must be at least 2: a link joins two"))
    at_once = recipe.events.available_at is None and not recipe.events.delay and recipe.events.backfill is None
    checks.append(("events", at_once, "are known at once: `available_at`, `delay` and `backfill` are for sources"))
    for name, stream in recipe.sources.items():
        late = stream.backfill is None or (stream.available_at is not None and stream.backfill > stream.delay)
        checks.append((f"sources.{name}.backfill", late, "needs `available_at`, and must be longer than `delay`"))
    for key, fine, message in checks:
        if not fine:
            problems.add(key, message)
