"""Where messages go over HTTP: each is posted to one URL, and the answer decides."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from adapters.http import tls
from adapters.http.answers import KEY, Meaning, outcome
from engine.message import Delivery, Outcome, Retry, Unknown
from engine.plugin import destination
from engine.settings import Seconds, Size
from formats import hl7v2
from formats.reason import Reason

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

HL7 = "application/hl7-v2"
FHIR = "application/fhir+json"
IDLE = 10.0
"""Seconds that an unused connection is kept: less than servers do, lest one closes it under a message."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")


@destination("http")
@dataclass
class HttpDestination:
    """Posts each message to a URL: raw HL7 v2, or a FHIR transaction as JSON, as the route made it.

    Every attempt carries the delivery's control id as `Idempotency-Key` and `X-Request-Id`. Redirects are not
    followed. Retry, which says that nothing was accepted, is given when nothing was sent (refused connection,
    unknown name, failed TLS) and for statuses that say so: 3xx, 401, 407, 408, 425, 429, 503, 507, 511.
    Unknown is given when something was sent and the answer does not settle it: none in time, a connection
    closed in mid-answer, 500, 502, 504 (a gateway's trouble is no word of the server behind it). Other 4xx,
    501 and 505 are Rejected, and so is a 200 whose FHIR transaction response has an entry of 4xx. An HL7 v2
    acknowledgement in the answer counts too, if it is for the message that was sent.
    """

    url: Annotated[str, "where to; anything but loopback needs https or an accepted risk"]
    method: Annotated[Literal["POST", "PUT"], "the HTTP method"] = "POST"
    content_type: Annotated[str, "if empty: by the body, application/fhir+json or application/hl7-v2"] = ""
    headers: Annotated[Mapping[str, str], "more request headers"] = field(default_factory=dict)
    token: Annotated[str, "bearer token"] = ""
    user: Annotated[str, "user name for basic authentication"] = ""
    password: Annotated[str, "its password"] = ""
    timeout: Annotated[Seconds, "how long one attempt may take, answer included"] = 30.0
    max_answer: Annotated[Size, "the longest answer read; a longer one is as good as none"] = 16 << 20
    answers: Annotated[
        Mapping[str, Meaning], "what a status (409, 5xx) or MSA-1 (AE) means, where the default does not suit"
    ] = field(default_factory=dict)
    ca: Annotated[Path | None, "PEM file: the authority that the server's certificate must be of"] = None
    certificate: Annotated[Path | None, "PEM file with our certificate chain, if the server asks for one"] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of sending off loopback without TLS"
    ] = ""

    def __post_init__(self) -> None:
        self._session: ClientSession | None = None

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        url = urlsplit(self.url)
        found = []
        if url.scheme not in ("http", "https") or not url.hostname:
            found.append("url is no address such as https://host/path")
        if url.username or url.password:
            found.append("url holds a user or password; set user and password")
        if self._exposed() and not tls.named(self.accept_plaintext_risk):
            found.append(
                "url is not loopback and not https; "
                "set accept_plaintext_risk to a sentence that names the risk, or use https"
            )
        if self.token and (self.user or self.password):
            found.append("token excludes user and password")
        if ":" in self.user or (self.password and not self.user):
            found.append("password needs a user, and that has no colon (RFC 7617)")
        if (self.ca or self.certificate or self.key) and url.scheme != "https":
            found.append("ca, certificate and key need an https url")
        if self.key and not self.certificate:
            found.append("key needs a certificate")
        found += [f'headers: "{name}" cannot be sent' for name, text in self._written() if not _sendable(name, text)]
        found += [f'answers: "{k}" is no status such as 409 or 5xx, nor AA to CR' for k in self.answers if not KEY.fullmatch(k)]
        return found + tls.missing(self.ca, self.certificate, self.key)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        host = urlsplit(self.url).hostname
        return [f"plaintext HTTP to {host}: {self.accept_plaintext_risk}"] if self._exposed() else []

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        from aiohttp import ClientError

        attempt = _Attempt()
        try:
            session = self._open()
        except OSError as error:
            return Retry(Reason("tls-files", f"the TLS files cannot be read: {type(error).__name__}"))
        try:
            async with session.request(
                self.method,
                self.url,
                data=delivery.body,
                headers=self._headers(delivery),
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                reply = await _read(response, self.max_answer)
        except (ClientError, OSError) as error:  # TimeoutError is an OSError
            return attempt.failed(error)
        if reply is None:
            return Unknown(Reason("long-answer", "the answer is longer than max_answer"))
        return outcome(response.status, reply, _control(delivery.body), self.answers)

    async def close(self) -> None:
        """Close every connection; a delivery under way ends as Unknown."""
        session, self._session = self._session, None
        if session:
            await session.close()

    def _exposed(self) -> bool:
        url = urlsplit(self.url)
        return url.scheme == "http" and not tls.loopback(url.hostname or "")

    def _written(self) -> list[tuple[str, str]]:
        return [*self.headers.items(), ("Content-Type", self.content_type), ("Authorization", self.token)]

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        kind = self.content_type or _kind(delivery.body)
        found = {"Content-Type": kind, "Idempotency-Key": delivery.control, "X-Request-Id": delivery.control}
        if kind == FHIR:
            found |= {"Accept": FHIR, "Prefer": "return=minimal"}
        if self.token:
            found["Authorization"] = f"Bearer {self.token}"
        elif self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            found["Authorization"] = f"Basic {pair}"
        return found | dict(self.headers)

    def _open(self) -> ClientSession:
        """The session, made on first use in the loop that delivers. Its connections are shared by all lanes."""
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, TraceConfig

            async def sending(session: object, context: object, params: object) -> None:
                context.trace_request_ctx.sent = True  # type: ignore[attr-defined]

            trace = TraceConfig()
            trace.on_request_headers_sent.append(sending)
            context = tls.client(self.ca, self.certificate, self.key) if self.url.startswith("https") else True
            self._session = ClientSession(
                connector=TCPConnector(limit=0, ssl=context, keepalive_timeout=IDLE),
                cookie_jar=DummyCookieJar(),
                timeout=ClientTimeout(total=self.timeout),
                trace_configs=[trace],
                headers={"User-Agent": "chartwire"},
            )
        return self._session


class _Attempt:
    """`sent` becomes true before the first byte of the request leaves."""

    sent = False

    def failed(self, error: Exception) -> Outcome:
        late = isinstance(error, TimeoutError)
        if not self.sent:
            text = "no connection in time" if late else f"no connection: {_why(error)}"
            return Retry(Reason("no-connection", text))
        if late:
            return Unknown(Reason("no-answer", "no answer in time"))
        return Unknown(Reason("closed", f"the connection failed before the answer was whole: {_why(error)}"))
