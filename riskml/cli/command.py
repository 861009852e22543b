"""How a command is registered: its words, the options that every command takes, and the job it returns.

Typer only parses. A function here takes its own parameters and ``Options`` and returns a job; ``riskml.cli.app`` runs
it. Nothing heavy is imported.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from riskml.cli.console import Console, Style
from riskml.errors import UsageError

Job = Callable[[Console], int]

app = typer.Typer(
    name="riskml",
    help="From a new fraud threat to a model with a verdict against the rule in force, and a release to deploy.",
    epilog="Example: riskml run recipes/account_takeover.toml",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    runs: Path
    set: tuple[str, ...]
    style: Style


@dataclass(frozen=True)
class Request:
    """A parsed command line: how to speak and what to do."""

    style: Style
    job: Job


_NONE: list[str] = []
_COMMON: dict[str, tuple[Any, Any]] = {
    "runs": (
        Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.", show_default=True)],
        Path("runs"),
    ),
    "set_": (
        Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change one recipe value; recorded.")],
        _NONE,
    ),
    "json_": (Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")], False),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="The answer only.")], False),
    "verbose": (Annotated[bool, typer.Option("--verbose", "-v", help="Timings and memory too.")], False),
    "debug": (Annotated[bool, typer.Option("--debug", help="Show tracebacks.")], False),
    "no_progress": (Annotated[bool, typer.Option("--no-progress", help="No bar and no progress lines.")], False),
}


def command(
    name: str, example: str, group: typer.Typer = app
) -> Callable[[Callable[..., Job]], Callable[..., Request]]:
    """Register a command; its function takes its own parameters and ``options``, and returns the job."""

    def register(function: Callable[..., Job]) -> Callable[..., Request]:
        @functools.wraps(function)
        def parse(**given: Any) -> Request:
            common = {key: given.pop(key) for key in _COMMON}
            style = Style(
                json=common["json_"],
                quiet=common["quiet"],
                verbose=common["verbose"],
                debug=common["debug"],
                progress=not common["no_progress"],
            )
            options = Options(common["runs"], tuple(common["set_"] or ()), style)
            return Request(style, function(**given, options=options))

        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "options"]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for key, (annotation, default) in _COMMON.items()
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parse.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]
        parse.__annotations__ = {p.name: p.annotation for p in own + shared}
        del parse.__wrapped__
        group.command(name, help=inspect.getdoc(function), epilog=f"Example: {example}")(parse)
        return parse

    return register


RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.", show_default=False, autocompletion=None)
]
JUnitPath = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Also write the checks as JUnit XML, for CI systems.")
]
ReleasePath = Annotated[Path, typer.Argument(metavar="RELEASE", help="A .riskml file.", show_default=False)]
TrustPath = Annotated[
    Path | None, typer.Option("--trust", metavar="PUB", help="Refuse what none of these public keys signed.")
]


def refuse_set(name: str, options: Options) -> None:
    """Refuse ``--set`` where no recipe is read."""
    if options.set:
        raise UsageError(f"--set changes a recipe, and `{name}` reads none", "leave --set out")
