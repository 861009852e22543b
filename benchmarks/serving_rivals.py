"""Servers that the HTTP benchmark stands beside `riskml serve`: the same model behind what teams usually write.

    python benchmarks/serving_rivals.py KIND RELEASE PORT

KIND is `predict` (FastAPI, a pydantic model of the event, Booster.predict), `contrib` (the same with one call of
pred_contrib, which gives the score and the reasons) or `asgi` (uvicorn, a bare ASGI application, msgspec and riskml's
own scorer). All run on uvicorn with uvloop and httptools.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import uvicorn  # noqa: E402

from benchmarks.serving import Rival  # noqa: E402
from benchmarks.serving_model import FLOATS, NAMES  # noqa: E402
from riskml.release.load import Release, load  # noqa: E402


def fastapi_app(release: Release, explain: bool) -> Any:
    """FastAPI with pydantic in and out."""
    from fastapi import FastAPI
    from pydantic import BaseModel, create_model

    rival = Rival.of(release)
    fields: dict[str, Any] = {
        name: (float | None if at < FLOATS else str | None, None) for at, name in enumerate(NAMES)
    }
    event_model = create_model("Event", event_id=(str | None, None), **fields)

    class Decision(BaseModel):
        id: str | None
        action: str
        probability: float
        reasons: list[tuple[str, float]] = []

    app = FastAPI()

    async def score(event: Any) -> Decision:
        row = event.model_dump()
        if explain:
            chance, action, reasons = rival.explain(row)
            return Decision(id=row["event_id"], action=action, probability=chance, reasons=reasons)
        chance, action = rival.score(row)
        return Decision(id=row["event_id"], action=action, probability=chance)

    score.__annotations__ = {"event": event_model, "return": Decision}  # made here, so no name can say it
    app.post("/score")(score)
    return app


def asgi_app(release: Release) -> Any:
    """A bare ASGI application with riskml's scorer, without log, limits or metrics."""
    import msgspec

    release.warm()
    read, write = msgspec.json.Decoder(dict[str, Any]).decode, msgspec.json.Encoder().encode

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["path"] == "/score":
            said = release.score(read(b"".join(parts)), 0)
            body = write({"id": said.event, "action": said.action, "probability": said.probability})
        else:
            body = b'{"status":"ok"}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def main() -> None:
    """Serve until killed."""
    kind, path, port = sys.argv[1:]
    release = load(path)
    app = asgi_app(release) if kind == "asgi" else fastapi_app(release, kind == "contrib")
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False, lifespan="off")


if __name__ == "__main__":
    main()
