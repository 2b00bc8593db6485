"""Where messages go over HTTP: each is posted to one URL, and the answer decides."""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

from adapters import tls
from adapters.http.answers import KEY, Meaning, outcome
from adapters.http.content import FHIR, control, kind
from engine.message import Delivery, Outcome, Retry, Unknown
from engine.plugin import destination
from engine.settings import Seconds, Secret, Size
from formats.reason import Reason

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

IDLE = 10.0
"""Seconds that an unused connection is kept: less than servers do, lest one closes it under a message."""

_NONE = Secret()
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token: RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Said(NamedTuple):
    """A whole answer."""

    status: int
    reply: bytes


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
    token: Annotated[Secret, "bearer token"] = _NONE
    user: Annotated[str, "user name for basic authentication"] = ""
    password: Annotated[Secret, "its password"] = _NONE
    timeout: Annotated[Seconds, "how long one attempt may take, answer included"] = 30.0
    max_answer: Annotated[Size, "the longest answer read; a longer one is as good as none"] = 16 << 20
    answers: Annotated[
        Mapping[str, Meaning], "what a status (409, 5xx) or MSA-1 (AE) means, where the default does not suit"
    ] = field(default_factory=dict)
    ca: Annotated[Path | None, "PEM file: the authority that the server's certificate must be of"] = None
    certificate: Annotated[Path | None, "PEM file with our certificate chain, if the server asks for one"] = (
        None
    )
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of sending off loopback without TLS"
    ] = ""

    def __post_init__(self) -> None:
        self._session: ClientSession | None = None
        self._url = _split(self.url)

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        files = (self.ca, self.certificate, self.key)
        wrong = {
            "url is no address such as https://host/path": self._url.scheme not in ("http", "https")
            or not self._url.hostname,
            "url holds a user or password; set user and password": "@" in self._url.netloc,
            "url is not loopback and not https; name the risk in a sentence, accept_plaintext_risk": (
                self._exposed() and not tls.accepted(self.accept_plaintext_risk)
            ),
            "token excludes user and password": bool(self.token and (self.user or self.password)),
            "password needs a user": bool(self.password and not self.user),
            "user may not hold a colon (RFC 7617)": ":" in self.user,
            "ca, certificate and key need an https url": any(files) and self._url.scheme != "https",
            "key needs a certificate": bool(self.key and not self.certificate),
        }
        found = [text for text, holds in wrong.items() if holds]
        unfit = [name for name, value in self._given() if not _fits(name, value)]
        found += [f'"{name}" cannot stand in a header' for name in unfit]
        codes = [code for code in self.answers if not KEY.fullmatch(code)]
        found += [f'answers: "{code}" is neither a status (409, 5xx) nor MSA-1 (AE)' for code in codes]
        return found + tls.missing(*files)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        accepted = f"plaintext HTTP to {self._url.hostname}: {self.accept_plaintext_risk}"
        return [accepted] if self._exposed() else []

    async def deliver(self, delivery: Delivery) -> Outcome:
        """One attempt."""
        said = await self._exchange(delivery, delivery.body)
        if not isinstance(said, Said):
            return said
        return outcome(said.status, said.reply, control(delivery.body), self.answers)

    async def _exchange(self, delivery: Delivery, body: bytes) -> Said | Outcome:
        """Post it; what came back, or why nothing usable did."""
        from aiohttp import ClientError

        attempt = _Attempt()
        try:
            async with self._open().request(
                self.method,
                self.url,
                data=body,
                headers=self._headers(delivery),
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                reply = await _read(response, self.max_answer)
        except (ClientError, OSError) as error:  # a TimeoutError is an OSError
            return attempt.failed(error)
        if reply is None:
            return Unknown(Reason("long-answer", "the answer is longer than max_answer"))
        return Said(response.status, reply)

    async def close(self) -> None:
        """Close every connection; a delivery under way ends as Unknown."""
        session, self._session = self._session, None
        if session:
            await session.close()

    def _exposed(self) -> bool:
        return self._url.scheme == "http" and not tls.loopback(self._url.hostname or "")

    def _given(self) -> list[tuple[str, str]]:
        """Header names, or the settings that become headers, and their values."""
        return [*self.headers.items(), ("content_type", self.content_type), ("token", self.token)]

    def _headers(self, delivery: Delivery) -> dict[str, str]:
        media = self.content_type or kind(delivery.body)
        own = {"Content-Type": media, "Idempotency-Key": delivery.control, "X-Request-Id": delivery.control}
        if media == FHIR:
            own |= {"Accept": FHIR, "Prefer": "return=minimal"}
        if self.token:
            own["Authorization"] = f"Bearer {self.token}"
        elif self.user:
            pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            own["Authorization"] = f"Basic {pair}"
        given = {name.lower() for name in self.headers}
        return {name: value for name, value in own.items() if name.lower() not in given} | dict(self.headers)

    def _open(self) -> ClientSession:
        """The session, made on first use; its connections are shared by all lanes."""
        if self._session is None:
            from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, TraceConfig

            trace = TraceConfig()
            trace.on_request_headers_sent.append(_sending)
            secure = self._url.scheme == "https"
            context = tls.client(self.ca, self.certificate, self.key) if secure else True
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
        why = "not in time" if isinstance(error, TimeoutError) else _why(error)
        if self.sent:
            code = "no-answer" if isinstance(error, TimeoutError) else "closed"
            return Unknown(Reason(code, f"sent, but no whole answer: {why}"))
        return Retry(Reason("no-connection", f"no connection: {why}"))


async def _sending(session: ClientSession, context: SimpleNamespace, params: object) -> None:
    context.trace_request_ctx.sent = True


async def _read(response: ClientResponse, limit: int) -> bytes | None:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def _why(error: Exception) -> str:
    """What the operating system or TLS said; the texts of other errors quote what was received."""
    for told in (error, error.__cause__):
        if isinstance(told, ssl.SSLError) and (reason := getattr(told, "reason", None)):
            return f"TLS: {reason}"
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else SplitResult("", "", "", "", "")
    except ValueError:
        return SplitResult("", "", "", "", "")


def _fits(name: str, value: str) -> bool:
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))
