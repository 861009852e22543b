"""What each stage does: call the room that does the work, write its files into the draft, return its facts.

Every function takes the journey (recipe and everything read so far), the draft folder and a progress callback, and
returns a mapping that becomes ``facts.json``. Nothing here prints or decides what is fresh.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from riskml.cli import words
from riskml.cli.console import Progress, plain
from riskml.cli.packaging import Packaging
from riskml.cli.runs import Draft, write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from riskml.cli.journey import Facts, Journey
    from riskml.data.findings import Finding
    from riskml.release.build import ReleaseInfo


def check(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """Prove the contract between recipe and data."""
    from riskml.data.check import check as check_data
    from riskml.features.catalog import online_budget
    from riskml.features.linter import lint
    from riskml.serve.kinds import kinds_of

    progress("reading", 0, 2)
    tables = journey.tables
    progress("checking", 1, 2)
    report = check_data(journey.recipe, tables, journey.plan, lint(journey.plan, journey.recipe, tables))
    if report.ok:
        _ = journey.windows  # refused here, before anything is computed, where the log is too short
    kinds = kinds_of(journey.recipe, tables, journey.plan)
    facts = report.to_dict() | {"online": online_budget(journey.plan), "kinds": kinds}
    draft.ok = not any(finding.level == "breach" for finding in report.findings)
    draft.note = "" if draft.ok else "the data breaks the recipe's contract"
    return facts


def features(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """Compute the feature table, in memory for the stages after or part by part on disk: the same values."""
    from riskml.features.local import compute
    from riskml.features.suspects import check_table

    found: list[Finding] = []
    plan, path = journey.plan, draft.folder / "features.parquet"
    if journey.disk_memory is None:
        _ = journey.windows  # a log too short to train on is refused before the long work
        table = compute(plan, journey.tables, journey.log, progress=progress)
        table.write(path)
        journey.table = table
        rows, found = len(table.time), check_table(table, journey.recipe, journey.tables)
    else:
        from riskml.features.disk.recipe import features_on_disk

        rows = features_on_disk(journey.recipe, path, plan, journey.disk_memory, progress=progress).rows
    (draft.folder / "plan.json").write_text(plan.to_json() + "\n", encoding="utf-8")
    return {
        "rows": rows,
        "features": len(plan.names),
        "inputs": len(plan.inputs),
        "nodes": len(plan.nodes),
        "networks": len(plan.networks),
        "lookups": len(plan.lookups),
        "derived": len(plan.derived),
        "plan_digest": plan.digest,
        "names": list(plan.names),
        "findings": [asdict(finding) for finding in found],
    }


def train(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """Search, fit, calibrate and freeze; finished trials outlive an interruption in a journal beside the stages."""
    from riskml.evidence.backtest.matches import matched
    from riskml.learning.train import train as train_model
    from riskml.report.tuning import render_tuning

    journal = journey.folder.root / ".trials.jsonl"
    training = train_model(
        journey.recipe,
        journey.table,
        journey.log,
        journey.windows,
        progress=progress,
        journal=journal,
        on_interrupt="finish",
        data_fingerprint=journey.fingerprint,
        groups=_first_entity(journey),
        **circumstances(journey),
    )
    rule = journey.incumbent
    model = matched(training.model, journey.recipe, journey.tables, journey.table, journey.log, journey.windows, rule)
    (draft.folder / "model").mkdir()
    model.write(draft.folder / "model")
    journey.model = model
    if training.facts.interrupted:
        draft.ok = False
        done, wanted = len(training.trials), journey.recipe.train.trials
        draft.note = f"interrupted after {done} of {wanted} trials; a model of the best of them is kept"
    elif journal.exists():
        shutil.copyfile(journal, draft.folder / "trials.jsonl")
    facts = plain(replace(training.facts, threshold=model.threshold, model=model.digest).to_dict())
    assert isinstance(facts, dict)
    trials = plain([trial.to_dict() for trial in training.trials])
    page = render_tuning(journey.recipe.threat.name, facts, trials)  # type: ignore[arg-type]
    (draft.folder / "tuning.html").write_text(page, encoding="utf-8")
    return facts


def _first_entity(journey: Journey) -> NDArray[np.int64] | None:
    """The first entity of every event as a code [n]; an event without it stands alone."""
    import numpy as np
    import pandas as pd

    events = journey.recipe.events
    if not events.entities:
        return None
    column = journey.tables.events.frame[next(iter(events.entities.values()))]
    codes = pd.factorize(column.astype(object).to_numpy(dtype=object), use_na_sentinel=True)[0].astype(np.int64)
    alone = codes < 0
    codes[alone] = len(codes) + np.arange(np.count_nonzero(alone))
    return codes


def circumstances(journey: Journey) -> dict[str, Any]:
    """What training takes beside features and labels: what fired, counts, went through and folds; money at risk."""
    import numpy as np

    from riskml.data.episodes import episodes
    from riskml.evidence.backtest.log import first_fired
    from riskml.learning.threshold import calibrate_events

    rule, amount = journey.incumbent, None
    if journey.recipe.train.objective == "value_at_alerts" and journey.recipe.events.amount:
        column = journey.tables.events.frame[journey.recipe.events.amount]
        amount = np.nan_to_num(column.to_numpy(dtype=np.float64, na_value=np.nan), posinf=0.0, neginf=0.0)
    if rule is None:
        return {"rule_fired": None, "amount": amount}
    rows = calibrate_events(journey.windows, journey.table.time, rule.comparable)
    return {
        "rule_fired": first_fired(journey.recipe, journey.tables, rule),
        "eligible": rule.comparable,
        "folding": episodes(journey.recipe, journey.tables, rows),
        "unseen": rule.stopped,
        "amount": amount,
    }


def explain(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """What the model looks at on the days it is judged by: facts, one page, and reasons for the highest events."""
    import numpy as np

    from riskml.evidence.explain import explain as explain_model
    from riskml.evidence.explain import write_reasons
    from riskml.learning.threshold import calibrate_events
    from riskml.report.explanation import render_explanation

    windows, time = journey.windows, journey.table.time
    rows = np.flatnonzero((time >= windows.test_start) & (time < windows.test_end))
    if not len(rows):  # nothing is matured yet: the days after calibrate, or calibrate itself
        late = np.flatnonzero(time >= windows.test_start)
        rows = late if len(late) else calibrate_events(windows, time)
    progress("contributions", 0, 3)
    found = explain_model(
        journey.model, journey.table, rows, hidden=journey.recipe.events.pii, seed=journey.recipe.train.seed
    )
    facts = found.to_dict()
    progress("reasons", 1, 3)
    write_reasons(journey.model, journey.table, rows, draft.folder / "reasons.parquet")
    progress("page", 2, 3)
    page = render_explanation(journey.recipe.threat.name, facts, journey.facts("train"), _trials(journey))
    (draft.folder / "explanation.html").write_text(page, encoding="utf-8")
    return facts


def _trials(journey: Journey) -> list[dict[str, object]]:
    """The finished trials of the search, if it came to its end."""
    path = journey.folder.stage("train") / "trials.jsonl"
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "number" in row]


def backtest(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """Judge the model against the rule or a rival; the page to sign as HTML and Markdown, and the facts as JSON."""
    from riskml.evidence.backtest import backtest as judge
    from riskml.evidence.backtest.control_words import markdown as planned
    from riskml.evidence.backtest.examples import FILE as EXAMPLES
    from riskml.evidence.backtest.ledger import FILE, Request
    from riskml.report.verdict import markdown, page

    progress("judging", 0, 2)
    ledger = journey.folder.root / FILE
    found = judge(
        journey.recipe,
        journey.tables,
        journey.table,
        journey.log,
        journey.windows,
        journey.model,
        journey.opponent,
        sign_off=Request(ledger, time.time_ns() // 1000) if journey.sign_off else None,
        ledger=ledger,
    )
    if found.examples is not None:
        path = draft.folder / EXAMPLES
        found.examples.write(path, journey.recipe, journey.tables, journey.table, journey.model)
    facts: dict[str, Any] = found.to_dict()
    facts["notes"] += [str(item["message"]) for item in words.findings(journey.facts("features"), "warning")]
    progress("page", 1, 2)
    write_json(draft.folder / "verdict.json", facts)
    (draft.folder / "verdict.html").write_text(page(facts), encoding="utf-8")
    (draft.folder / "verdict.md").write_text(markdown(facts), encoding="utf-8")
    if facts["plan"] is not None:
        write_json(draft.folder / "control_plan.json", facts["plan"])
        (draft.folder / "control_plan.md").write_text(planned(facts["plan"], facts["threat"]), encoding="utf-8")
    return facts


def package(journey: Journey, draft: Draft, progress: Progress) -> Facts:
    """Build the release at the stage the verdicts allow."""
    from riskml.release.build import build_release
    from riskml.serve.streams import declare

    recipe, events = journey.recipe, journey.recipe.events
    wanted = journey.packaging or Packaging()
    facts: dict[str, Any] = dict(journey.facts("backtest"))
    page = journey.folder.stage("backtest") / "verdict.html"
    info = build_release(
        draft.folder,
        model=journey.model,
        verdict=facts,
        threat=recipe.threat.name,
        name=recipe.package.name,
        version=recipe.package.version,
        stage=wanted.stage,  # type: ignore[arg-type]  # checked there
        override=wanted.override,
        key=wanted.key,
        event_id=events.id,
        event_time=events.time,
        nulls=dict.fromkeys(events.entities.values(), events.missing),
        online=declare(recipe, journey.facts("check").get("kinds")),  # type: ignore[arg-type]  # of its own making
        report=page.read_text(encoding="utf-8") if page.is_file() else None,
    )
    return {**info.to_dict(), **(_container(info, wanted, draft) if wanted.docker else {})}


def _container(info: ReleaseInfo, wanted: Packaging, draft: Draft) -> Facts:
    """Write what a container of the release takes beside it; the names of the files."""
    import platform

    from riskml import __version__
    from riskml.release.container import Container, container_files
    from riskml.release.sign import public_of

    python = ".".join(platform.python_version_tuple()[:2])
    public = None if wanted.key is None else public_of(wanted.key)
    names = (info.path.name, info.id, info.name, info.version, info.stage)
    files = container_files(Container(*names, info.sha256, python, __version__, public))
    for name, text in files.items():
        (draft.folder / name).write_text(text, encoding="utf-8", newline="\n")
    return {"container": sorted(files)}
