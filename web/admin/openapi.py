"""`GET /admin/openapi.json`: what is below /admin, as OpenAPI 3.1 says it. Requests are described by the very types
that they are read with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.running import Running
from web.admin import again, alerts, change, deliveries, filters, pausing, prune, sequences, tokens

Described = tuple[str, str, Callable[[Running, Request], Awaitable[Response]]]
MESSAGE = "/admin/messages/{id:int}"
BODIES: dict[str, type[msgspec.Struct]] = {
    "/admin/messages/reprocess": again.Wanted, "/admin/messages/replay": again.Wanted,
    "/admin/messages/resend": again.Wanted, f"{MESSAGE}/edit": again.Edit, "/admin/alerts/mute": alerts.Muted,
    "/admin/alerts/unmute": alerts.Muted, "/admin/deliveries/retry": deliveries.Wanted,
    "/admin/deliveries/park": deliveries.Wanted, "/admin/deliveries/release": deliveries.Wanted,
    "/admin/deliveries/cancel": deliveries.Wanted, "/admin/pause": pausing.Wanted, "/admin/resume": pausing.Wanted,
    "/admin/prune": prune.Wanted, "/admin/tokens": tokens.Wanted,
    "/admin/sequences": sequences.Wanted,
}  # fmt: skip
"""What is sent where it is more than `why` and `dry_run`."""
BARE = ("/admin/alerts/test",)
"""Where nothing is sent."""
QUERIES = {
    "/admin/messages": filters.NAMES, "/admin/case": ("of",), "/admin/expectations": ("state",),
    "/admin/audit": ("before", "limit"), "/admin/queues": ("destination",), "/admin/drain": ("name",),
    "/admin/deliveries": (*deliveries.WORDS, "limit", "cursor"),
}  # fmt: skip
FAILURES = {
    "400": "what is asked for cannot be read: an OperationOutcome says what", "401": "a bearer token is needed",
    "403": "only the local operator may do that", "404": "there is no such thing", "409": "not as things stand",
    "503": "the database takes nothing now; try again",
}  # fmt: skip


def serving(table: Callable[[], Iterable[Described]]) -> Callable[[Running, Request], Awaitable[Response]]:
    """The description of what a table of addresses holds when it is asked for."""

    async def openapi(running: Running, request: Request) -> Response:
        """This description."""
        return JSONResponse(document(table()))

    return openapi


def document(table: Iterable[Described]) -> dict[str, Any]:
    rows = list(table)
    types: list[type[msgspec.Struct]] = list(dict.fromkeys((change.Change, *BODIES.values())))
    made, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    bodies = dict(zip(types, made, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for path, method, answer in rows:
        paths.setdefault(re.sub(r":int}", "}", path), {})[method.lower()] = _operation(
            path, method, answer, bodies
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Chartwire, for those who operate it", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(
    path: str, method: str, answer: object, bodies: Mapping[type[msgspec.Struct], dict[str, Any]]
) -> dict[str, Any]:
    text = " ".join((getattr(answer, "__doc__", None) or "").split())
    parameters = [_parameter("id", "path", "integer")] if "{id:int}" in path else []
    if method == "GET":
        parameters += [_parameter(name, "query", "string") for name in QUERIES.get(path, ())]
    described: dict[str, Any] = {
        "operationId": re.sub(
            r"\W+", "_", method.lower() + path.removeprefix("/admin").replace(":int", "")
        ).strip("_"),
        "parameters": parameters,
        "responses": {
            "200": {"description": text or "done"},
            **{c: {"description": t} for c, t in FAILURES.items()},
        },
    }
    if method == "POST" and path not in BARE:
        schema = bodies[BODIES.get(path, change.Change)]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _parameter(name: str, place: str, type: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": type}}
