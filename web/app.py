"""The ASGI application: which path is answered by which file, and who may ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from engine.journal.again import Again
from engine.journal.deliveries import Action
from engine.running import Running
from store.database import Down
from web import health, metrics
from web.admin import (
    again,
    alerts,
    apply,
    audit,
    case,
    certificates,
    change,
    deliveries,
    expectations,
    messages,
    openapi,
    parking,
    pausing,
    prune,
    queues,
    sequences,
    tokens,
)
from web.bearer import UNREAD, Bearer
from web.fhir import create, delete, history, metadata, patch, read, search, transaction, update, vread
from web.fhir.answer import negotiated
from web.outcome import outcome

Interaction = Callable[[Running, Request], Awaitable[Response]]
OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/fhir/metadata"})  # they hold nothing of any patient


Described = tuple[str, str, Interaction]
FHIR: list[Described] = [
    ("/fhir/metadata", "GET", negotiated(metadata.metadata)),
    ("/fhir", "POST", negotiated(transaction.transaction)),
    ("/fhir/", "POST", negotiated(transaction.transaction)),
    ("/fhir/{type}", "GET", negotiated(search.search)),
    ("/fhir/{type}", "POST", negotiated(create.create)),
    ("/fhir/{type}", "PUT", negotiated(update.update)),
    ("/fhir/{type}", "PATCH", negotiated(patch.patch)),
    ("/fhir/{type}", "DELETE", negotiated(delete.delete)),
    ("/fhir/{type}/_search", "POST", negotiated(search.search)),
    ("/fhir/{type}/{id}", "GET", negotiated(read.read)),
    ("/fhir/{type}/{id}", "PUT", negotiated(update.update)),
    ("/fhir/{type}/{id}", "PATCH", negotiated(patch.patch)),
    ("/fhir/{type}/{id}", "DELETE", negotiated(delete.delete)),
    ("/fhir/{type}/{id}/_history", "GET", negotiated(history.history)),
    ("/fhir/{type}/{id}/_history/{number}", "GET", negotiated(vread.vread)),
]
ADMIN: list[Described] = [
    ("/admin/messages", "GET", messages.listing),
    ("/admin/messages/{id:int}", "GET", messages.show),
    ("/admin/messages/{id:int}/trace", "GET", messages.trace),
    *((f"/admin/messages/{what}", "POST", again.doing(what)) for what in Again),
    ("/admin/messages/{id:int}/edit", "POST", again.edit),
    ("/admin/messages/{id:int}/park", "POST", parking.park),
    ("/admin/case", "GET", case.timeline),
    ("/admin/expectations", "GET", expectations.listing),
    ("/admin/alerts", "GET", alerts.listing),
    ("/admin/alerts/{id:int}/ack", "POST", alerts.acknowledge),
    ("/admin/alerts/mute", "POST", alerts.mute),
    ("/admin/alerts/unmute", "POST", alerts.unmute),
    ("/admin/alerts/test", "POST", alerts.test),
    ("/admin/certificates", "GET", certificates.listing),
    ("/admin/audit", "GET", audit.listing),
    ("/admin/audit/verify", "GET", audit.verify),
    ("/admin/deliveries", "GET", deliveries.listing),
    ("/admin/deliveries/{id:int}", "GET", deliveries.show),
    *((f"/admin/deliveries/{a}", "POST", deliveries.acting(a)) for a in Action),
    ("/admin/queues", "GET", queues.listing),
    ("/admin/pauses", "GET", pausing.listing),
    ("/admin/drain", "GET", pausing.drain),
    ("/admin/pause", "POST", pausing.pause),
    ("/admin/resume", "POST", pausing.resume),
    ("/admin/prune", "POST", prune.prune),
    ("/admin/sequences", "GET", sequences.listing),
    ("/admin/sequences", "POST", sequences.setting),
    ("/admin/apply", "POST", apply.apply),
    ("/admin/tokens", "POST", tokens.create),
    ("/admin/openapi.json", "GET", openapi.serving(lambda: ADMIN)),
]
OTHERS: list[Described] = [
    ("/healthz", "GET", health.alive),
    ("/readyz", "GET", health.ready),
    ("/metrics", "GET", metrics.metrics),
]


def build(running: Running, *, trusted: bool) -> ASGIApp:
    """The application over a running engine. `trusted`: every caller is the local operator and needs no token
    (a socket that only he can open); otherwise a bearer token for all that can hold data of patients, and nothing
    below /admin can be changed: a token says who reads, not that he operates the engine."""

    def route(path: str, method: str, answer: Interaction) -> Route:
        async def endpoint(request: Request) -> Response:
            return await answer(running, request)

        return Route(path, endpoint, methods=[method])

    admin = [each if trusted or each[1] == "GET" else (*each[:2], change.forbidden) for each in ADMIN]
    app = Starlette(
        routes=[route(*each) for each in (*FHIR, *admin, *OTHERS)],
        exception_handlers={HTTPException: _refused, Down: _unread, Exception: _failed},
    )
    return app if trusted else Bearer(app, running.reader, OPEN)


CODES = {404: "not-found", 405: "not-supported"}
TEXTS = {404: "there is nothing at this address", 405: "this method is not supported here"}


async def _refused(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself, as FHIR says it."""
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "processing")
    text = TEXTS.get(error.status_code, "the request cannot be served")
    return outcome(error.status_code, code, text, headers=error.headers)


async def _unread(request: Request, error: Exception) -> Response:
    """The database cannot be read now."""
    return UNREAD


async def _failed(request: Request, error: Exception) -> Response:
    """A defect of ours; the log says where, nobody is told with which content."""
    return outcome(500, "exception", "the server failed; its log says where")
