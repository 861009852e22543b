"""The stages from recipe to release, chained: each reads what earlier ones left and fills one folder of the run.

In come a recipe and a run folder; out come stage folders, facts to show and the exit code. A stage whose key (recipe
sections, data, earlier outcomes, version) is that of its record is fresh and not redone; a single command refuses to
build on stale or missing input and names the command that refreshes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from riskml import __version__
from riskml.cli import words
from riskml.cli.console import Console, Progress, plain, seconds
from riskml.cli.packaging import Packaging, remembered
from riskml.cli.runs import Draft, Memo, RunFolder, StageKey, StageRecord, digest, write_json
from riskml.errors import DataError, ExitCode, RiskmlError, StaleError
from riskml.learning.warm import started_from

if TYPE_CHECKING:
    from riskml.data.labels import LabelLog
    from riskml.data.split import Windows
    from riskml.data.tables import Tables
    from riskml.evidence.backtest.rival import Opponent
    from riskml.evidence.rule import Incumbent
    from riskml.features.plan import FeaturePlan
    from riskml.features.table import FeatureTable
    from riskml.learning.model import Model
    from riskml.recipe.spec import Recipe

FACTS = "facts.json"
Facts = Mapping[str, object]


class Interrupted(RiskmlError):
    """Ctrl-C ended a search whose finished trials were kept."""

    exit_code = ExitCode.INTERRUPTED


@dataclass
class Journey:
    """One recipe on its way; what is read or computed once is shared by all stages of this process."""

    recipe: Recipe
    folder: RunFolder
    console: Console
    shown: str  # the recipe as typed, for the commands we suggest
    results: dict[str, Facts] = field(default_factory=dict)
    records: dict[str, StageRecord | None] = field(default_factory=dict)
    disk_memory: int | None = None  # bytes for the disk engine; None computes features in memory
    junit: Path | None = None  # where the checks of a backtest go as JUnit XML
    plan_control: bool = False  # show the ramp of random releases before the verdict
    sign_off: bool | None = None  # open the sealed window, or do not; None takes whichever verdict there is
    packaging: Packaging | None = None  # how to build the release; None takes whichever there is
    opponent: Opponent | None = None  # whom `backtest` compares with; None is the rule of the log

    @staticmethod
    def open(recipe: Path, overrides: Sequence[str], runs: Path, console: Console) -> Journey:
        """Read the recipe; nothing is written yet."""
        from riskml.recipe.parse import load_recipe

        parsed = load_recipe(recipe, overrides)
        if parsed.backtest.segments:
            from riskml.evidence.backtest.traits import require_fit

            require_fit(parsed)
        tail = "".join(f" --set {_quoted(words.redacted(text))}" for text in overrides)
        tail += f" --runs {runs}" if str(runs) != "runs" else ""
        return Journey(parsed, RunFolder(runs / _slug(parsed.threat.name)), console, f"{recipe}{tail}")

    @cached_property
    def plan(self) -> FeaturePlan:
        """What to compute; needs no data."""
        from riskml.features.compile import compile_plan

        return compile_plan(self.recipe)

    @cached_property
    def tables(self) -> Tables:
        """The data, read once.

        Raises:
            StaleError: it is not the data that the stages were compared with a moment ago.
        """
        from riskml.data.tables import read_tables

        memo, began = self._memo, time.time()
        before = memo.stamps()
        tables = read_tables(self.recipe)
        if self.__dict__.get("fingerprint", tables.fingerprint) != tables.fingerprint:
            raise StaleError("the data changed while it was being read", "run the command again once it stands still")
        if self.folder.root.is_dir():
            memo.keep({"fingerprint": tables.fingerprint, "as_of": str(tables.as_of)}, before, began)
        return tables

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the data's content; files that have not changed since they were last read are not read again."""
        known = self._memo.recall()
        return known["fingerprint"] if known else self.tables.fingerprint

    @property
    def as_of(self) -> int:
        """ "Now" for this threat, in microseconds: the recipe's, or the latest time in the data."""
        if self.recipe.threat.as_of is not None:
            return self.recipe.threat.as_of
        known = self._memo.recall()
        return int(known["as_of"]) if known else self.tables.as_of

    @cached_property
    def _memo(self) -> Memo:
        from riskml.data.storage import find_files, is_url

        recipe = self.recipe
        streams = [recipe.events.path, *(source.path for source in recipe.sources.values())]
        streams += [table.path for table in recipe.tables.values()]
        streams += [recipe.labels.path] if recipe.labels.path else []
        files = [] if any(is_url(path) for path in streams) else [file for path in streams for file in find_files(path)]
        sections = recipe.digest("threat.as_of", "events", "sources", "tables", "labels")
        return Memo(self.folder.root / ".data.json", digest([__version__, sections]), tuple(files))

    @cached_property
    def log(self) -> LabelLog:
        """Every label with when and how it became known."""
        from riskml.data.labels import label_log

        return label_log(self.recipe, self.tables)

    @cached_property
    def windows(self) -> Windows:
        """train | gap | calibrate | gap | test, ended where decisions are matured by what is declared and estimated."""
        from riskml.data.maturity import maturity
        from riskml.data.split import in_force_from, plan_windows

        matures = maturity(self.recipe, self.log, self.tables.as_of).used
        rule = self.incumbent
        ruled = None if rule is None else in_force_from(rule.since, rule.fired, self.tables.events.time)
        return plan_windows(self.recipe, self.tables, matures, ruled)

    @cached_property
    def incumbent(self) -> Incumbent | None:
        """What the rule did, by its log."""
        from riskml.evidence.rule import incumbent

        return incumbent(self.recipe, self.tables)

    @cached_property
    def table(self) -> FeatureTable:
        """The feature table of the finished `features` stage."""
        from riskml.features.table import FeatureTable

        return FeatureTable.read(self.folder.stage("features") / "features.parquet")

    @cached_property
    def model(self) -> Model:
        """The model of the finished `train` stage."""
        from riskml.learning.model import Model

        return Model.read(self.folder.stage("train") / "model")

    def key(self, stage: Stage) -> StageKey:
        """What the stage depends on now; later stages must be asked after earlier ones are done."""
        feeds = dict(stage.given)
        for name in stage.feeds:
            record = self.record(name)
            feeds[name] = record.outcome if record else ""
        if stage.name == "train" and self.recipe.train.warm_start is not None:
            feeds["warm_start"] = started_from(Path(self.recipe.train.warm_start))
        return StageKey(stage.name, self.recipe.digest(*stage.sections), self.fingerprint, feeds, __version__)

    def record(self, stage: str) -> StageRecord | None:
        """The stage's record; its outputs are hashed once per process and again after they are rewritten."""
        if stage not in self.records:
            self.records[stage] = self.folder.record(stage)
        return self.records[stage]

    def facts(self, stage: str) -> Facts:
        """The facts a finished stage left, from memory or from its folder."""
        if stage not in self.results:
            text = (self.folder.stage(stage) / FACTS).read_text(encoding="utf-8")
            self.results[stage] = json.loads(text)
        return self.results[stage]


@dataclass(frozen=True)
class Stage:
    """One command's work: which recipe ``sections`` it reads, whose outputs it ``feeds`` on, what must have passed.

    ``given`` holds digests of what came with the command line, by name.
    """

    name: str
    sections: tuple[str, ...]
    work: Callable[[Journey, Draft, Progress], Facts]
    feeds: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command that does it: `backtest` also fills folders for its rivals."""
        return self.name.partition("-vs-")[0]


@dataclass(frozen=True)
class Standing:
    """A stage as the folder shows it: "fresh", "stale" or "missing", and why."""

    word: str
    reason: str = ""
    record: StageRecord | None = None


def standing(journey: Journey, stage: Stage) -> Standing:
    """Compare the stage's record with what it depends on now."""
    record = journey.record(stage.name)
    if record is None:
        there = journey.folder.stage(stage.name).exists()
        return Standing("stale", "its files were altered or are incomplete") if there else Standing("missing")
    now = journey.key(stage)
    fits = {now.value}
    if stage.name == "backtest" and journey.sign_off is None:  # a verdict on the sealed window does as well
        fits.add(journey.key(_signed(stage)).value)
    if stage.name == "package" and journey.packaging is None:  # so does a release that was signed or overridden
        fits.add(journey.key(replace(stage, given=remembered(record.feeds))).value)
    if record.key in fits:
        return Standing("fresh", "" if record.ok else record.note, record)
    if record.data_fingerprint != now.data:
        return Standing("stale", "the data changed", record)
    changed = [name for name, outcome in now.feeds.items() if record.feeds.get(name) != outcome]
    if changed:
        return Standing("stale", f"`{changed[0]}` was redone since", record)
    if record.riskml != now.riskml:
        return Standing("stale", f"it was made by riskml {record.riskml}", record)
    return Standing("stale", "the recipe changed", record)


def do_stage(journey: Journey, name: str) -> int:
    """One command: do the stage on fresh input, show its answer, return the exit code."""
    stage = STAGES[name]
    if name == "backtest" and journey.opponent is not None:
        stage = _versus(stage, journey.opponent)
    if name == "backtest" and journey.sign_off:
        stage = _signed(stage)
    if name == "package" and journey.packaging is not None:
        stage = replace(stage, given=journey.packaging.given())
    if stage.command in ("backtest", "package"):
        check_ledger(journey)
    with journey.folder.lock():
        _require(journey, stage)
        _refresh(journey, stage)
    facts = journey.facts(stage.name)
    if journey.plan_control:
        _show_plan(journey, facts)
    for line in words.lines(name, facts):
        journey.console.answer(line)
    journey.console.document(facts)
    return _finish(journey, stage)


def check_ledger(journey: Journey) -> None:
    """Refuse a ledger of looks that was altered, though no stage would read it now.

    Raises:
        DataError: a line was altered, or lines written here are gone.
    """
    if any(journey.folder.root.glob("*ledger.jsonl*")):  # the ledger, or what remembers its last line
        from riskml.evidence.backtest.ledger import FILE, read

        read(journey.folder.root / FILE)


def _show_plan(journey: Journey, facts: Facts) -> None:
    from riskml.evidence.backtest.control_words import lines

    for line in lines(facts["plan"]):  # type: ignore[arg-type]
        journey.console.answer(line)
    journey.console.say(f"plan: {journey.folder.stage('backtest') / 'control_plan.md'}")


def list_features(journey: Journey) -> int:
    """Every feature of the recipe's plan with its meaning and cost; no data is read and nothing is written."""
    from riskml.features.catalog import describe

    facts = describe(journey.recipe, journey.plan)
    for line in words.listed(facts):
        journey.console.answer(line)
    journey.console.document(facts)
    return int(ExitCode.OK)


def do_all(journey: Journey) -> int:
    """`run`: every stage in order, redoing only what changed; the verdict is the exit code."""
    began = time.monotonic()
    check_ledger(journey)
    with journey.folder.lock():
        for stage in STAGES.values():
            _refresh(journey, stage)
            if stage.name == "features":
                for line in words.warnings(journey.facts("features")):
                    journey.console.say(line)
                    journey.console.annotate("warning", line.removeprefix("warning: "), file=str(journey.recipe.file))
            _refuse_breach(journey, stage.name)
    journey.console.detail(f"all stages: {seconds(time.monotonic() - began)}")
    verdict, release = journey.facts("backtest"), journey.facts("package")
    root = journey.folder.root
    path = root / "package" / str(release["file"])
    journey.console.document(
        {
            "schema": "riskml.run/1",
            "headline": verdict["headline"],
            "exit_code": verdict["exit_code"],
            "release": str(path),
            "stages": {name: journey.facts(name) for name in STAGES},
        }
    )
    journey.console.say(f"report: {root / 'backtest' / 'verdict.html'}")
    journey.console.say(f"release: {path}")
    journey.console.say(f"next: riskml verify {_quoted(str(path))}")
    return _judge(journey, "backtest")


def _refresh(journey: Journey, stage: Stage) -> None:
    """Do the stage unless it is fresh; says one line either way."""
    console = journey.console
    now = standing(journey, stage)
    if now.word == "fresh" and now.record is not None and now.record.ok:
        console.say(f"{stage.name}: fresh")
        return
    key = journey.key(stage)
    overrides = tuple(words.redacted(text) for text in journey.recipe.overrides)
    writing = journey.folder.write(key, journey.recipe.digest(), overrides)
    with console.progress(stage.name) as progress, writing as draft:
        facts = plain({"schema": f"riskml.{stage.name}/1", **stage.work(journey, draft, progress)})
        assert isinstance(facts, dict)
        write_json(draft.folder / FACTS, facts)
        note, ok = draft.note, draft.ok
    journey.results[stage.name] = facts
    journey.records.pop(stage.name)
    record = journey.record(stage.name)
    took = record.seconds if record else 0.0
    console.say(f"{stage.name}: {words.summary(stage.command, facts)} ({seconds(took)})")
    if record is not None:
        console.detail(f"{stage.name}: peak memory {record.peak_rss_mb:,.0f} MB, key {key.value[:12]}")
    if stage.name == "train" and not ok:
        raise Interrupted(
            note,
            f"`riskml train {journey.shown}` takes the search up again; "
            f"`riskml backtest {journey.shown}` judges the model as it is",
        )


def _require(journey: Journey, stage: Stage) -> None:
    """Refuse stale or missing input of a single command.

    Raises:
        StaleError: naming the stage and the command that refreshes it.
    """
    for name in (*stage.gates, *stage.feeds):
        before = STAGES[name]
        _require(journey, before)
        found = standing(journey, before)
        if found.word == "missing":
            raise StaleError(f"`{stage.name}` needs `{name}`, which has not been run", f"riskml {name} {journey.shown}")
        if found.word == "stale":
            raise StaleError(
                f"`{stage.name}` needs `{name}`, which is stale: {found.reason}", f"riskml {name} {journey.shown}"
            )
        _refuse_breach(journey, name)


def _refuse_breach(journey: Journey, name: str) -> None:
    """Stop where the data breaks the recipe's contract."""
    if name not in ("check", "features"):
        return
    breaches = words.findings(journey.facts(name), "breach")
    if not breaches:
        return
    first = breaches[0]
    if len(breaches) == 1:
        raise DataError(str(first["message"]), str(first["hint"]))
    listed = "".join(f"\n  {item['message']}" + (f" ({item['hint']})" if item["hint"] else "") for item in breaches)
    raise DataError(
        f"the data breaks the recipe's contract in {len(breaches)} ways{listed}", "mend the data or the recipe"
    )


def _finish(journey: Journey, stage: Stage) -> int:
    _refuse_breach(journey, stage.name)
    if stage.command == "backtest":
        journey.console.say(f"report: {journey.folder.stage(stage.name) / 'verdict.html'}")
        return _judge(journey, stage.name)
    if stage.name == "train":
        journey.console.say(f"report: {journey.folder.stage(stage.name) / 'tuning.html'}")
    after = list(STAGES)[list(STAGES).index(stage.name) + 1 :]
    if after:
        journey.console.say(f"next: riskml {after[0]} {journey.shown}")
    else:
        path = journey.folder.stage("package") / str(journey.facts("package")["file"])
        journey.console.say(f"next: riskml verify {_quoted(str(path))}")
    return int(ExitCode.OK)


def _judge(journey: Journey, name: str) -> int:
    """Tell the verdict, last of all, and turn it into the exit code."""
    from riskml.cli.verdict import tell

    looks = journey.facts(name).get("looks")
    if isinstance(looks, Mapping) and (looks["part"] != "whole" or looks["look"] is not None):
        journey.console.say(str(looks["words"]))
    folder = journey.folder.stage(name)
    return tell(journey.console, journey.facts(name), folder, str(journey.recipe.file or ""), journey.junit)


def _versus(stage: Stage, opponent: Opponent) -> Stage:
    """The backtest against a rival: a folder of its own, and every section a champion's own features may rest on."""
    from riskml.cli.rivals import folder_of

    given = {"rival": f"{opponent.kind} {opponent.name} {opponent.stage} {opponent.digest}"}
    return replace(stage, name=folder_of(opponent), sections=(*stage.sections, "tables"), given=given)


def _signed(stage: Stage) -> Stage:
    """The same backtest on the sealed window."""
    return replace(stage, given={**stage.given, "sign-off": "yes"})


def _stages() -> dict[str, Stage]:
    from riskml.cli import stages

    threat = ("threat.name", "threat.as_of")  # `opened_at` is a clock for people
    data = (*threat, "events", "sources", "labels")
    plan = (*data, "tables", "features", "network", "packs", "derive")
    frozen = ("backtest.episode", "backtest.match")  # what the threshold rests on
    made = (
        Stage("check", (*plan, "rule"), stages.check),
        Stage("features", plan, stages.features, gates=("check",)),
        Stage("train", (*data, "rule", "train", *frozen), stages.train, feeds=("features",)),
        Stage("explain", (*threat, "events", "train"), stages.explain, feeds=("features", "train")),
        Stage("backtest", (*data, "rule", "train", "backtest"), stages.backtest, feeds=("features", "train")),
        Stage("package", (*threat, "events", "package"), stages.package, feeds=("train", "explain", "backtest")),
    )
    return {stage.name: stage for stage in made}


STAGES: dict[str, Stage] = _stages()


def _slug(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".-")
    return kept or "threat"


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
