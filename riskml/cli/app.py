"""The commands of ``riskml``: from the words on the command line to a job, and from its outcome to an exit code.

Typer only parses: each command returns a job, and ``main`` runs it, so that every failure meets one handler and no
library decides what the process exits with. Nothing heavy is imported before a job runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from riskml.cli.command import (
    Job,
    JUnitPath,
    Options,
    RecipePath,
    ReleasePath,
    Request,
    TrustPath,
    app,
    command,
    refuse_set,
)
from riskml.cli.console import Console, Style
from riskml.cli.failure import failed
from riskml.cli.optional import spelled
from riskml.errors import UsageError, near_matches

rule = typer.Typer(name="rule", help="Work on temporary rules.", rich_markup_mode=None, no_args_is_help=False)
app.add_typer(rule, name="rule")
keys = typer.Typer(name="keys", help="Keys that sign releases.", rich_markup_mode=None, no_args_is_help=False)
app.add_typer(keys, name="keys")


def _stage(name: str, recipe: Path, options: Options) -> Job:
    def job(console: Console) -> int:
        from riskml.cli.journey import Journey, do_stage

        return do_stage(Journey.open(recipe, options.set, options.runs, console), name)

    return job


@command("init", "riskml init my-threat --from withdrawals.csv")
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.", show_default=False)
    ],
    options: Options,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="Which shipped recipe to start from.")
    ] = "account_takeover",
    source: Annotated[Path | None, typer.Option("--from", metavar="CSV", help="Start from your own table.")] = None,
    time: Annotated[str, typer.Option(metavar="COLUMN", help="With --from: the time of the event.")] = "",
    id: Annotated[str, typer.Option(metavar="COLUMN", help="With --from: the id of the event.")] = "",
    label: Annotated[str, typer.Option(metavar="COLUMN", help="With --from: 1 for fraud, 0 for good.")] = "",
    amount: Annotated[str, typer.Option(metavar="COLUMN", help="With --from: the amount at risk.")] = "",
    entity: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="With --from: who or what acts; repeatable.")
    ] = None,
    users: Annotated[
        int | None, typer.Option(min=50, help="People in the simulated world; some worlds need more.")
    ] = None,
) -> Job:
    """Make a small working project: recipe, data, CI workflow."""

    def job(console: Console) -> int:
        from riskml.cli import scaffold

        refuse_set("init", options)
        if source is None:
            given = [n for n, v in (("time", time), ("id", id), ("label", label), ("amount", amount)) if v]
            if given or entity:
                raise UsageError(f"--{(given or ['entity'])[0]} describes your own table", "give the table with --from")
            return scaffold.from_recipe(console, directory, recipe, users)
        named = scaffold.Named(time=time, id=id, label=label, amount=amount, entities=tuple(entity or ()))
        return scaffold.from_table(console, directory, source, named)

    return job


@command("check", "riskml check recipes/account_takeover.toml")
def check(recipe: RecipePath, options: Options) -> Job:
    """Check recipe and data before anything is computed."""
    return _stage("check", recipe, options)


@command("features", "riskml features recipes/account_takeover.toml")
def features(
    recipe: RecipePath,
    options: Options,
    list_: Annotated[
        bool, typer.Option("--list", help="Say what each feature means and costs; compute nothing.")
    ] = False,
    engine: Annotated[
        str, typer.Option(metavar="ENGINE", help="local (in memory) or disk (Parquet, part by part).")
    ] = "local",
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="With --engine disk: memory to stay below, 4GB if left out.")
    ] = None,
) -> Job:
    """Compute the features of every event, as they were known then."""

    def listing(console: Console) -> int:
        from riskml.cli.journey import Journey, list_features

        return list_features(Journey.open(recipe, options.set, options.runs, console))

    def on_disk(console: Console) -> int:
        from riskml.cli.journey import Journey, do_stage
        from riskml.features.disk.budget import DEFAULT_MEMORY, read_memory

        journey = Journey.open(recipe, options.set, options.runs, console)
        journey.disk_memory = DEFAULT_MEMORY if memory is None else read_memory(memory)
        return do_stage(journey, "features")

    if engine not in ("local", "disk"):
        raise UsageError(f"there is no engine `{engine}`", near_matches(engine, ("local", "disk")) or "local or disk")
    if memory is not None and engine != "disk":
        raise UsageError("--memory bounds the disk engine alone", "add --engine disk, or leave --memory out")
    if list_:
        return listing
    return on_disk if engine == "disk" else _stage("features", recipe, options)


@command("train", "riskml train recipes/account_takeover.toml --set train.trials=40")
def train(
    recipe: RecipePath,
    options: Options,
    replay: Annotated[
        int | None, typer.Option("--replay", metavar="N", min=0, help="Train trial N again, and compare every bit.")
    ] = None,
) -> Job:
    """Tune, train, calibrate and freeze the threshold."""

    def again(console: Console) -> int:
        from riskml.cli.journey import Journey
        from riskml.cli.replay import replay_trial

        assert replay is not None
        return replay_trial(Journey.open(recipe, options.set, options.runs, console), replay)

    return _stage("train", recipe, options) if replay is None else again


@command("explain", "riskml explain recipes/account_takeover.toml")
def explain(recipe: RecipePath, options: Options) -> Job:
    """Show what the model looks at, overall and for single events."""
    return _stage("explain", recipe, options)


RULE_HELP = "Against the rule of the recipe's log, the default, or against the rule in FILE: TOML or one expression."
CHAMPION_HELP = "Against the model of a release, at its own frozen threshold."


@command("backtest", "riskml backtest recipes/account_takeover.toml --vs-rule")
def backtest(
    recipe: RecipePath,
    options: Options,
    vs_rule: Annotated[str | None, typer.Option("--vs-rule", metavar="[FILE]", help=RULE_HELP)] = None,
    vs_champion: Annotated[Path | None, typer.Option("--vs-champion", metavar="RELEASE", help=CHAMPION_HELP)] = None,
    sign_off: Annotated[bool, typer.Option("--sign-off", help="Open the sealed window; each look costs.")] = False,
    plan_control: Annotated[bool, typer.Option("--plan-control", help="Show the ramp of random releases.")] = False,
    junit: JUnitPath = None,
) -> Job:
    """Judge the model against the rule on days neither has seen.

    A comparison with a FILE or a RELEASE fills `backtest-vs-rule` or `backtest-vs-champion`; `package` reads the
    verdict against the rule of the log, in `backtest`.
    """

    def job(console: Console) -> int:
        from riskml.cli.journey import Journey, do_stage
        from riskml.cli.rivals import opponent_of
        from riskml.cli.verdict import reported

        with reported(junit, recipe.stem):
            journey = Journey.open(recipe, options.set, options.runs, console)
            journey.junit, journey.opponent = junit, opponent_of(vs_rule, vs_champion)
            journey.sign_off, journey.plan_control = sign_off, plan_control
            if plan_control and journey.opponent is not None:
                raise UsageError("--plan-control releases alerts of the log's own rule", "leave the rival out")
            if vs_rule == "" and journey.recipe.rule is None:
                raise UsageError(
                    f"{recipe.name} names no rule to compare with", "describe it in a [rule] section, or give a FILE"
                )
            return do_stage(journey, "backtest")

    return job


@command("package", "riskml package recipes/account_takeover.toml --sign keys/riskml.key")
def package(
    recipe: RecipePath,
    options: Options,
    sign: Annotated[Path | None, typer.Option("--sign", metavar="KEY", help="Sign with this private key.")] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", metavar="STAGE", help="shadow, add or replace; the highest allowed.")
    ] = None,
    override: Annotated[
        str | None, typer.Option("--override", metavar="REASON", help="Why --stage is above the verdict; it is kept.")
    ] = None,
    docker: Annotated[bool, typer.Option("--docker", help="A Dockerfile and a Kubernetes manifest beside it.")] = False,
) -> Job:
    """Build the release: one file with model, plan and verdict."""

    def job(console: Console) -> int:
        from riskml.cli.journey import Journey, do_stage
        from riskml.cli.packaging import Packaging
        from riskml.release.sign import read_key

        journey = Journey.open(recipe, options.set, options.runs, console)
        key = None if sign is None else read_key(sign)  # once, because it may be a pipe
        journey.packaging = Packaging(stage, override, key, docker)
        return do_stage(journey, "package")

    return job


@command("verify", "riskml verify account-takeover-0.1.0.riskml")
def verify(release: ReleasePath, options: Options, trust: TrustPath = None) -> Job:
    """Prove that a release is whole and scores as it did when built."""

    def job(console: Console) -> int:
        from riskml.cli.deployed import verify_release

        refuse_set("verify", options)
        return verify_release(console, release, trust)

    return job


@command("score", "riskml score account-takeover-0.1.0.riskml events.parquet")
def score(
    release: ReleasePath,
    events: Annotated[
        Path,
        typer.Argument(metavar="EVENTS", help="Parquet or CSV with event fields and features.", show_default=False),
    ],
    options: Options,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write .csv or .parquet here.")] = None,
    trust: TrustPath = None,
) -> Job:
    """Score a table of events with their feature values."""

    def job(console: Console) -> int:
        from riskml.cli.deployed import score_events

        refuse_set("score", options)
        return score_events(console, release, events, out, trust)

    return job


@command("warm", "riskml warm account-takeover-0.1.0.riskml")
def warm(
    options: Options,
    release: Annotated[
        Path | None, typer.Argument(metavar="RELEASE", help="A .riskml file.", show_default=False)
    ] = None,
    trust: TrustPath = None,
) -> Job:
    """Have the machine code of scoring ready, so that no event waits for it."""

    def job(console: Console) -> int:
        from riskml.cli.deployed import warm_release

        refuse_set("warm", options)
        return warm_release(console, release, trust)

    return job


@command("export", "riskml export account-takeover-0.1.0.riskml --to onnx")
def export(
    release: ReleasePath,
    options: Options,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="onnx or mlflow.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to put it.")] = Path(),
    trust: TrustPath = None,
) -> Job:
    """Write a release in another form that decides every golden vector alike."""

    def job(console: Console) -> int:
        from riskml.cli.export import export_release

        refuse_set("export", options)
        return export_release(console, release, to, out, trust)

    return job


@command("serve", "riskml serve account-takeover-0.1.0.riskml --log decisions")
def serve(
    release: ReleasePath,
    options: Options,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8000,
    log: Annotated[Path | None, typer.Option("--log", metavar="DIR", help="Write every decision here first.")] = None,
    sync: Annotated[
        str, typer.Option("--sync", metavar="WHEN", help="When the disk keeps the log: always, interval or never.")
    ] = "interval",
    store: Annotated[
        str | None, typer.Option("--store", metavar="URL", help="State for several workers: valkey://HOST:PORT/0.")
    ] = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="PUB", help="Serve only what this key signed.")
    ] = None,
    challenger: Annotated[
        Path | None, typer.Option("--challenger", metavar="RELEASE", help="Score this one beside, and log it.")
    ] = None,
    ramp: Annotated[
        float, typer.Option("--ramp", metavar="SHARE", min=0, max=1, help="Events the challenger decides.")
    ] = 0.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Which events those are.")] = 0,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Callers show this token; or RISKML_TOKEN.")
    ] = None,
    reasons: Annotated[int, typer.Option("--reasons", metavar="N", min=0, max=20, help="Reasons of an answer.")] = 3,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", metavar="NAME=VALUE", help="Change one limit, such as body=131072.")
    ] = None,
) -> Job:
    """Answer over HTTP: /score, /decide, /events, /metrics and more.

    SIGHUP reads the release files again; SIGTERM answers what is under way, then ends.
    """

    def job(console: Console) -> int:
        from riskml.cli.serve import run_server, settings_of

        refuse_set("serve", options)
        given = {"host": host, "port": port, "log": log, "sync": sync, "store": store, "trust": trust}
        given |= {"challenger": challenger, "ramp": ramp, "seed": seed, "reasons": reasons}
        return run_server(console, settings_of(release, token_file, limit or (), given))

    return job


@command("parity", "riskml parity decisions recipes/account_takeover.toml")
def parity(
    log: Annotated[
        str, typer.Argument(metavar="LOG", help="The decision log: a folder, a file or a store.", show_default=False)
    ],
    recipe: RecipePath,
    options: Options,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Compare decisions on events from then on.")
    ] = None,
) -> Job:
    """Compare the features of a decision log with the local engine's."""

    def job(console: Console) -> int:
        from riskml.cli.parity import compare_log

        return compare_log(console, log, recipe, options.set, since)

    return job


@command("status", "riskml status recipes/account_takeover.toml")
def status(recipe: RecipePath, options: Options) -> Job:
    """Say where the threat stands and what it waits for."""

    def job(console: Console) -> int:
        from riskml.cli.journey import Journey
        from riskml.cli.status import show_status

        return show_status(Journey.open(recipe, options.set, options.runs, console))

    return job


@command("run", "riskml run recipes/account_takeover.toml")
def run(recipe: RecipePath, options: Options, junit: JUnitPath = None) -> Job:
    """Do all from check to package, and exit with the verdict."""

    def job(console: Console) -> int:
        from riskml.cli.journey import Journey, do_all
        from riskml.cli.verdict import reported

        with reported(junit, recipe.stem):
            journey = Journey.open(recipe, options.set, options.runs, console)
            journey.junit = junit
            return do_all(journey)

    return job


@command("suggest", "riskml rule suggest recipes/account_takeover.toml --days 14", group=rule)
def rule_suggest(
    recipe: RecipePath,
    options: Options,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="Only what was known by then; now if left out.")
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", min=1, help="The same, N days after the threat opened.")
    ] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Leave out events before.")] = None,
    share: Annotated[
        float, typer.Option("--share", min=0.2, max=0.9, help="Part of the time to search; the rest shows the rules.")
    ] = 0.6,
    alerts: Annotated[
        float | None, typer.Option("--alerts", metavar="N", min=0.01, help="Alerts a day; the rule's if left out.")
    ] = None,
    most: Annotated[int, typer.Option("--most", metavar="N", min=1, max=50, help="Rules to show.")] = 5,
    features: Annotated[bool, typer.Option("--features", help="Offer the features of the run too.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write one rule for --vs-rule.")] = None,
    pick: Annotated[int, typer.Option("--pick", metavar="N", min=1, help="Which rule to write out.")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the sample, where rows are very many.")] = 7,
) -> Job:
    """Propose temporary rules from the first days of a threat."""

    def job(console: Console) -> int:
        from riskml.cli.journey import Journey
        from riskml.cli.suggest import Wish, suggest_rules

        wish = Wish(as_of, days, since, share, alerts, most, seed, features, out, pick)
        return suggest_rules(Journey.open(recipe, options.set, options.runs, console), wish)

    return job


@command("new", "riskml keys new", group=keys)
def keys_new(
    options: Options,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put them.")] = Path("keys"),
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="NAME.key and NAME.pub.")] = "riskml",
) -> Job:
    """Make a private key to sign releases with, and its public key."""

    def job(console: Console) -> int:
        from riskml.cli.keys import make_keys

        refuse_set("keys new", options)
        return make_keys(console, directory, name)

    return job


def _version(wanted: bool) -> None:
    if wanted:
        from riskml import __version__

        Console().answer(f"riskml {__version__}")
        raise typer.Exit(0)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run one command line; returns the exit code (see ``riskml.errors.ExitCode``)."""
    # Waiting threads that spin starve each other on a busy machine; numbers are the same either way.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller (`>&-`)
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open to the end
    words = list(sys.argv[1:] if argv is None else argv)
    console = Console(Style(json="--json" in words, debug="--debug" in words))
    try:
        request = app(spelled(words) or ["--help"], prog_name="riskml", standalone_mode=False)
        if not isinstance(request, Request):
            return int(request or 0)
        console = Console(request.style)
        code = request.job(console)
        sys.stdout.flush()
        return int(code)
    except BaseException as error:
        return failed(console, error, words, _names())


def _names() -> list[str]:
    """Every command and group, as typed."""
    groups = [info.name for info in app.registered_groups if info.name]
    return [info.name for info in app.registered_commands if info.name] + groups
