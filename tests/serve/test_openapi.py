"""The OpenAPI document: it is valid, names every path, and whatever is made up from it gets an answer it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema import Draft202012Validator
from schemathesis import checks
from schemathesis.core.failures import Failure, FailureGroup

from riskml.release.load import load
from riskml.serve.openapi import describe
from riskml.serve.settings import Settings
from tests.serve.served import TOKEN, Server, feature_rows, serving

EXAMPLES = 12
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture(scope="module")
def server(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with everything on."""
    one, other = (shelf / f"account-takeover-0.{n}.0.riskml" for n in (1, 2))
    with serving(one, "--challenger", other, "--log", tmp_path_factory.mktemp("log"), token=TOKEN) as running:
        yield running


def test_the_document_names_what_is_there(server: Server, shelf: Path) -> None:
    """Every path it names answers, its schemas are schemas, and real rows and answers fit them."""
    document = server.ask("GET", "/openapi.json").body
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert name in str(document["paths"]) or name in str(schemas)
    for path, methods in document["paths"].items():
        for method in methods:
            assert server.ask(method.upper(), path).status not in (404, 405, 500)
    wide = {"components": document["components"]}
    for row in feature_rows(20):
        Draft202012Validator(schemas["Features"]).validate(row)
        said = server.ask("POST", "/score", row)
        Draft202012Validator(schemas["Decision"] | wide).validate(said.body)
    release = load(shelf / "account-takeover-0.1.0.riskml")
    fewer = describe(release, Settings(Path("a.riskml")), raw=False)
    assert set(document["paths"]) - set(fewer["paths"]) == {"/decide", "/events"}
    assert "security" not in fewer and {field.name for field in release.fields} == set(
        schemas["Features"]["properties"]
    )


def hostile(server: Server, examples: int) -> tuple[int, list[str]]:
    """How many made-up requests, right and wrong ones, were sent to every path and method, and what failed."""
    schema = schemathesis.openapi.from_dict(server.ask("GET", "/openapi.json").body)
    schema.config.update(base_url=f"http://127.0.0.1:{server.port}")
    shown = {"Authorization": f"Bearer {TOKEN}"}
    failures: list[str] = []
    sent = 0

    def ask(case: schemathesis.Case) -> None:
        nonlocal sent
        sent += 1
        try:
            case.call_and_validate(headers=shown, checks=list(CHECKS))
        except (Failure, FailureGroup) as error:
            failures.append(str(error))

    bounds = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for result in schema.get_all_operations():
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with suppress(Unsatisfiable):  # a path without body and parameters cannot be asked wrongly
                bounds(given(case=result.ok().as_strategy(generation_mode=mode))(ask))()
    return sent, failures


def test_whatever_the_document_allows_or_forbids_is_answered(server: Server) -> None:
    """Hundreds of made-up requests: no 5xx, and no status, kind or body that the document does not name."""
    sent, failures = hostile(server, EXAMPLES)
    assert failures == [] and sent > 8 * EXAMPLES
    assert server.metric('riskml_events_total{event="unanswered",result="bug"}') == 0


@pytest.mark.deep
def test_whatever_the_document_allows_or_forbids_is_answered_at_length(server: Server) -> None:
    """The same with many more requests."""
    sent, failures = hostile(server, 400)
    assert failures == [] and sent > 2_000
