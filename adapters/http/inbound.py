"""One request: the body goes to the intake, the receipt becomes the answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from adapters.http.content import control, kind
from engine.message import Accepted, Duplicate, Receipt, Received, Refused, Unavailable, Uncertain
from engine.plugin import Intake
from formats.reason import Reason

if TYPE_CHECKING:
    from aiohttp.web import BaseRequest, Response

HEAD = 64 * 1024
"""Bytes kept of a body that is too long."""
AFTER = 5
"""Seconds after which a sender may try again."""

STOPPING = Reason("stopping", "the engine is stopping; send it again later")
TRUNCATED = Reason("truncated", "the connection was lost before the body was whole")
EMPTY = Reason("empty", "there is nothing in the body")
SLOW = Reason("truncated", "the body did not arrive in time")

log = structlog.get_logger(__name__)


class _Quiet(logging.Handler):
    """Tells that a request failed, not how: aiohttp's own words quote what it could not parse."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        log.warning("http.trouble", error=kind.__name__ if kind else record.msg)


QUIET = logging.Logger("adapters.http")
QUIET.addHandler(_Quiet())


class Body(NamedTuple):
    """What arrived, or its head if it is too long; `size` counts all of it. `broken`: why it ends early."""

    data: bytes
    size: int
    broken: Reason | None = None


class Dialect(Protocol):
    """How a receipt is said in an answer, and what the sender's own key of a message is."""

    def key(self, request: BaseRequest, data: bytes) -> str | None: ...

    def refusal(self, data: bytes) -> Reason | None:
        """Why a whole body is refused before anyone looks at what it means."""

    def answer(self, receipt: Receipt, body: Body, limit: int) -> Response: ...


class Plain:
    """Status codes and a line of JSON; the key is `Idempotency-Key`, else MSH-10."""

    def key(self, request: BaseRequest, data: bytes) -> str | None:
        return request.headers.get("Idempotency-Key") or control(data).decode("latin-1") or None

    def refusal(self, data: bytes) -> Reason | None:
        return None

    def answer(self, receipt: Receipt, body: Body, limit: int) -> Response:
        return _answer(receipt, body, limit)


class Inbound:
    """Answers the requests of one listener until it is stopped."""

    def __init__(
        self, intake: Intake, path: str, token: str, limit: int, within: float, dialect: Dialect
    ) -> None:
        self._dialect = dialect
        self._intake = intake
        self._path = path
        self._token = f"Bearer {token}".encode() if token else b""
        self._limit = limit
        self._within = within
        self._reading: set[asyncio.Timeout] = set()
        self._stopping = False

    def stop(self) -> None:
        """Read no further: only what has arrived whole is still taken and answered."""
        self._stopping = True
        for deadline in self._reading:
            deadline.reschedule(0)

    async def answer(self, request: BaseRequest) -> Response:
        """The answer to one request; none if the engine is in doubt, then the connection is closed."""
        if refusal := self._no_message(request):
            return _closing(refusal)
        body = await self._read(request)
        receipt = await self._receipt(request, body)
        if isinstance(receipt, Uncertain):
            log.warning("http.uncertain", peer=request.remote)
            request.protocol.force_close()
        found = self._dialect.answer(receipt, body, self._limit)
        return _closing(found) if body.broken else found

    def _no_message(self, request: BaseRequest) -> Response | None:
        if request.rel_url.path != self._path:
            return _said(404, {"code": "no-such-path"})
        if request.method != "POST":
            return _said(405, {"code": "not-a-post"}, {"Allow": "POST"})
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if self._token and not hmac.compare_digest(shown, self._token):
            return _said(401, {"code": "no-token"}, {"WWW-Authenticate": "Bearer"})
        return None

    async def _read(self, request: BaseRequest) -> Body:
        from aiohttp.web import RequestPayloadError

        data, size, broken = bytearray(), 0, None
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        deadline = asyncio.timeout(0 if self._stopping else self._within)
        self._reading.add(deadline)
        try:
            async with deadline:
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    data += chunk[: self._limit + HEAD - len(data)]
        except TimeoutError:
            broken = STOPPING if self._stopping else SLOW
        except (RequestPayloadError, OSError):
            broken = TRUNCATED
        finally:
            self._reading.discard(deadline)
        return Body(bytes(data if size <= self._limit else data[:HEAD]), size, broken)

    async def _receipt(self, request: BaseRequest, body: Body) -> Receipt:
        if body.broken is STOPPING:
            return Unavailable(STOPPING)
        received = Received(body.data, self._dialect.key(request, body.data), request.remote or "")
        if reason := _refusal(body, self._limit) or self._dialect.refusal(body.data):
            future = self._intake.refuse(received, reason)
        else:
            future = self._intake(received)
        await asyncio.wait([future])  # not `await future`: a cancelled request must not cancel the commit
        return Uncertain() if future.cancelled() or future.exception() else future.result()


def _refusal(body: Body, limit: int) -> Reason | None:
    """Why that is no message at all, if so."""
    if body.broken or body.size > limit:
        return body.broken or Reason("body-too-long", f"a body of {body.size} bytes; max_body sets the limit")
    return None if body.data.strip() else EMPTY


def status_of(receipt: Refused, body: Body, limit: int) -> int:
    """Why it was refused, as HTTP says it."""
    if body.broken:
        return 408
    return 413 if body.size > limit else 415 if receipt.unsupported else 422


def _answer(receipt: Receipt, body: Body, limit: int) -> Response:
    match receipt:
        case Accepted(_, bytes(reply)) | Duplicate(_, bytes(reply)):
            return response(200, reply, {"Content-Type": kind(reply)})
        case Accepted(message):
            return _said(202, {"message": message})
        case Duplicate(message):
            return _said(200, {"message": message, "duplicate": True})
        case Refused(reason):
            return _said(
                status_of(receipt, body, limit),
                {"code": reason.code, "text": reason.text, "place": reason.place},
            )
        case Unavailable(reason):
            return _said(503, {"code": reason.code, "text": reason.text}, {"Retry-After": str(AFTER)})
        case Uncertain():
            return response(503, b"", {})  # never sent: the connection is closed


def _said(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(content).encode() + b"\n"
    return response(status, text, {"Content-Type": "application/json", **(headers or {})})


def response(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    from aiohttp.web import Response

    return Response(status=status, body=body, headers={**headers, "Server": "chartwire"})


def _closing(response: Response) -> Response:
    response.force_close()
    return response
