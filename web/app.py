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
from web import health, metrics
from web.admin import (
    again,
    alerts,
    apply,
    audit,
    case,
    certificates,
    deliveries,
    expectations,
    messages,
    parking,
    pausing,
    queues,
    tokens,
)
from web.bearer import Bearer
from web.fhir import create, delete, history, metadata, patch, read, search, transaction, update, vread
from web.fhir.answer import negotiated
from web.outcome import outcome

Interaction = Callable[[Running, Request], Awaitable[Response]]
OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/fhir/metadata"})  # they hold nothing of any patient


def build(running: Running, *, trusted: bool) -> ASGIApp:
    """The application over a running engine. `trusted`: every caller is the local operator and needs no token
    (a socket that only he can open); otherwise a bearer token for all that can hold data of patients."""

    def route(path: str, method: str, answer: Interaction) -> Route:
        async def endpoint(request: Request) -> Response:
            return await answer(running, request)

        return Route(path, endpoint, methods=[method])

    app = Starlette(
        routes=[
            route("/fhir/metadata", "GET", negotiated(metadata.metadata)),
            route("/fhir", "POST", negotiated(transaction.transaction)),
            route("/fhir/", "POST", negotiated(transaction.transaction)),
            route("/fhir/{type}", "GET", negotiated(search.search)),
            route("/fhir/{type}", "POST", negotiated(create.create)),
            route("/fhir/{type}", "PUT", negotiated(update.update)),
            route("/fhir/{type}", "PATCH", negotiated(patch.patch)),
            route("/fhir/{type}", "DELETE", negotiated(delete.delete)),
            route("/fhir/{type}/_search", "POST", negotiated(search.search)),
            route("/fhir/{type}/{id}", "GET", negotiated(read.read)),
            route("/fhir/{type}/{id}", "PUT", negotiated(update.update)),
            route("/fhir/{type}/{id}", "PATCH", negotiated(patch.patch)),
            route("/fhir/{type}/{id}", "DELETE", negotiated(delete.delete)),
            route("/fhir/{type}/{id}/_history", "GET", negotiated(history.history)),
            route("/fhir/{type}/{id}/_history/{number}", "GET", negotiated(vread.vread)),
            route("/admin/messages", "GET", messages.listing),
            route("/admin/messages/{id:int}", "GET", messages.show),
            route("/admin/messages/{id:int}/trace", "GET", messages.trace),
            *(route(f"/admin/messages/{what}", "POST", again.doing(what)) for what in Again),
            route("/admin/messages/{id:int}/edit", "POST", again.edit),
            route("/admin/messages/{id:int}/park", "POST", parking.park),
            route("/admin/case", "GET", case.timeline),
            route("/admin/expectations", "GET", expectations.listing),
            route("/admin/alerts", "GET", alerts.listing),
            route("/admin/alerts/{id:int}/ack", "POST", alerts.acknowledge),
            route("/admin/alerts/mute", "POST", alerts.mute),
            route("/admin/alerts/unmute", "POST", alerts.unmute),
            route("/admin/alerts/test", "POST", alerts.test),
            route("/admin/certificates", "GET", certificates.listing),
            route("/admin/audit", "GET", audit.listing),
            route("/admin/audit/verify", "GET", audit.verify),
            route("/admin/deliveries", "GET", deliveries.listing),
            route("/admin/deliveries/{id:int}", "GET", deliveries.show),
            *(route(f"/admin/deliveries/{a}", "POST", deliveries.acting(a)) for a in Action),
            route("/admin/queues", "GET", queues.listing),
            route("/admin/pauses", "GET", pausing.listing),
            route("/admin/drain", "GET", pausing.drain),
            route("/admin/pause", "POST", pausing.pause),
            route("/admin/resume", "POST", pausing.resume),
            route("/admin/apply", "POST", apply.apply if trusted else apply.forbidden),
            route("/admin/tokens", "POST", tokens.create if trusted else tokens.forbidden),
            route("/healthz", "GET", health.alive),
            route("/readyz", "GET", health.ready),
            route("/metrics", "GET", metrics.metrics),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
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


async def _failed(request: Request, error: Exception) -> Response:
    """A defect of ours; the log says where, nobody is told with which content."""
    return outcome(500, "exception", "the server failed; its log says where")
