"""The OpenAPI 3.1 document of a server: what each path takes and gives, with the fields of the release it serves.

In go a release and the limits; out comes one JSON document. It names fields, kinds and limits, never a value of the
data the release was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from riskml.serve.settings import Settings

if TYPE_CHECKING:
    from riskml.release.inputs import Field
    from riskml.release.load import Release

__all__ = ["describe"]

_KINDS: dict[str, list[str]] = {
    "number": ["number", "boolean", "null"],
    "category": ["string", "null"],
    "time": ["string", "integer", "null"],
    "any": ["string", "number", "boolean", "null"],
}
_ID = {"type": ["string", "integer", "number", "null"]}
_ACTION = {"enum": ["allow", "alert"]}
_PLAIN = {"type": ["string", "number", "boolean", "null", "array"]}
_ROW = {"type": "object", "additionalProperties": _PLAIN}


def describe(release: Release, settings: Settings, raw: bool) -> dict[str, Any]:
    """The document; ``raw`` says whether raw events are taken."""
    paths: dict[str, Any] = {
        "/score": {"post": _score(release, settings)},
        "/health": {"get": _get("Whether the process lives.", "Status", open_=True)},
        "/ready": {"get": _get("Whether new requests should come here.", "Ready", open_=True, busy=True)},
        "/metrics": {"get": _text("Counters, as Prometheus reads them.")},
        "/openapi.json": {"get": _get("This document.", None)},
        "/reload": {"post": _change("Read the release files again and serve them.", None)},
        "/rollback": {"post": _change("Serve what was served before the last change.", None)},
        "/ramp": {"post": _change("Let the challenger decide another share of events.", "Share")},
    }
    if raw:
        paths["/decide"] = {"post": _post("Decide on one raw event.", "Event", "Answer", {"503": "Problem"})}
        paths["/events"] = {"post": _post("Take in rows of other streams.", "Observation", "Taken", {"503": "Problem"})}
    secured = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}} if settings.token else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": f"riskml: {release.manifest.threat}", "version": release.id},
        **({"security": [{"token": []}]} if settings.token else {}),
        "paths": paths,
        "components": {**secured, "schemas": _schemas(release, settings)},
    }


def _schemas(release: Release, settings: Settings) -> dict[str, Any]:
    text, number, texts = {"type": "string"}, {"type": "number"}, {"type": "array", "items": {"type": "string"}}
    decision: dict[str, Any] = {
        "id": _ID,
        "action": _ACTION | {"description": "What may be carried out."},
        "would": _ACTION | {"description": "What the model alone would do."},
        "probability": number | {"minimum": 0, "maximum": 1},
        "margin": number,
        "reasons": {"type": "array", "items": {"$ref": "#/components/schemas/Reason"}},
        "missing": texts,
        "stage": {"enum": ["shadow", "add", "replace"]},
        "release": text,
        "plan": text,
        "arm": {"enum": ["champion", "challenger"]},
        "propensity": number | {"minimum": 0, "maximum": 1},
    }
    instant = {"type": "integer", "description": "Microseconds UTC."}
    clocks = {
        "time": instant,
        "arrival": instant,
        "late": {"type": "boolean"},
        "duplicate": {"type": "boolean"},
        "position": {"type": ["integer", "string"]},
    }
    problem = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text}
    return {
        "Features": {
            "type": "object",
            "properties": {field.name: _field(field) for field in release.fields},
            "additionalProperties": _PLAIN,
        },
        "Event": _ROW,
        "Observation": {
            "type": "object",
            "properties": {
                "source": text,
                "row": _ROW,
                "rows": {"type": "array", "items": _ROW, "maxItems": settings.limits.rows},
            },
            "required": ["source"],
            "additionalProperties": False,
        },
        "Share": {
            "type": "object",
            "properties": {"share": number | {"minimum": 0, "maximum": 1}},
            "required": ["share"],
            "additionalProperties": False,
        },
        "Reason": _object({"feature": text, "contribution": number}),
        "Decision": _object(decision),
        "Answer": _object(decision | clocks),
        "Taken": _object({"taken": {"type": "integer"}, "duplicates": {"type": "integer"}}),
        "Status": _object({"status": text}),
        "Ready": _object(
            {
                "status": text,
                "release": text,
                "stage": text,
                "challenger": {"type": ["string", "null"]},
                "share": number,
            }
        ),
        "Problem": {"type": "object", "properties": problem | {"hint": text}, "required": list(problem)},
    }


def _field(field: Field) -> dict[str, Any]:
    said: dict[str, Any] = {"type": _KINDS[field.kind], "description": field.role}
    if field.kind == "time":
        said["description"] = "ISO 8601 with a zone, or microseconds UTC"
    return said


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _said(name: str | None, words: str) -> dict[str, Any]:
    schema = {"type": "object"} if name is None else {"$ref": f"#/components/schemas/{name}"}
    kind = "application/problem+json" if name == "Problem" else "application/json"
    return {"description": words, "content": {kind: {"schema": schema}}}


def _problems(*statuses: int) -> dict[str, Any]:
    return {str(status): _said("Problem", _WORDS[status]) for status in statuses}


def _get(words: str, schema: str | None, open_: bool = False, busy: bool = False) -> dict[str, Any]:
    answers = {"200": _said(schema, words)} | _problems(*((400,) if open_ else (400, 401)), *((503,) if busy else ()))
    return {"summary": words, "responses": answers, **({"security": []} if open_ else {})}


def _text(words: str) -> dict[str, Any]:
    answer = {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"summary": words, "responses": {"200": answer} | _problems(400, 401)}


def _post(words: str, takes: str, gives: str, more: dict[str, str] | None = None) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{takes}"}}}}
    answers = {"200": _said(gives, words)} | _problems(400, 401, 408, 413, 415, 422)
    return {"summary": words, "requestBody": body, "responses": answers | _problems(*map(int, more or {}))}


def _score(release: Release, settings: Settings) -> dict[str, Any]:
    said = _post("Score one event, given as feature values.", "Features", "Decision", {"503": "Problem"})
    most = {"type": "integer", "minimum": 0, "maximum": settings.limits.reasons, "default": settings.reasons}
    said["parameters"] = [{"name": "reasons", "in": "query", "schema": most, "description": "At most so many."}]
    return said


def _change(words: str, takes: str | None) -> dict[str, Any]:
    said = _post(words, takes or "Share", "Ready")
    if takes is None:
        del said["requestBody"]
    said["responses"] |= _problems(403, 409)
    return said


_WORDS = {
    400: "Not understood.",
    401: "The token is missing or wrong.",
    403: "The server has no token, so nobody may change it over the wire.",
    408: "It took too long to arrive.",
    409: "It cannot be served; what was served goes on.",
    413: "Too large.",
    415: "Another media type.",
    422: "A value means nothing.",
    503: "Not now: stopping, or the log cannot be written.",
}
