"""alerts.yaml: what is watched, and who is told. Without the file the defaults watch, and the log is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from engine.settings import Seconds, Secret

_NONE = Secret()


@dataclass(frozen=True, slots=True)
class Errors:
    """Too many of a channel's newest messages came to no good end: QUARANTINED, FAILED or REFUSED."""

    share: Annotated[float, "from 0 to 1"] = 0.25
    least: Annotated[int, "at least so many messages, so that one of two does not count"] = 20
    within: Annotated[Seconds, "of those that came in this time"] = 900.0


@dataclass(frozen=True, slots=True)
class Learned:
    """A channel is silent when, by the same hours of the weeks before, so many messages would have come and none did.
    With 10 expected, chance alone is silent once in 22,000 times. It begins after two weeks."""

    expected: Annotated[float, "messages that would have come"] = 10.0
    weeks: Annotated[int, "how many weeks are looked back"] = 4
    least: Annotated[Seconds, "never told before so long"] = 600.0

    def problems(self) -> list[str]:
        return (
            [] if self.expected >= 1 and 2 <= self.weeks <= 52 else ["expected: at least 1, weeks: 2 to 52"]
        )


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail for each alert that opens, that stays open, or that closes (RFC 5321)."""

    host: Annotated[str, "the SMTP server"]
    from_: Annotated[str, "the sender's address"]
    to: Annotated[list[str], "the addresses of those who are told"]
    port: Annotated[int, "587 with STARTTLS, 465 with TLS, 25 without"] = 587
    tls: Annotated[Literal["starttls", "tls", "none"], "none only on this machine"] = "starttls"
    username: Annotated[str, "empty: no login"] = ""
    password: Annotated[Secret, "its password"] = _NONE

    def problems(self) -> list[str]:
        if self.tls == "none" and not _here(self.host):
            return ["mail without TLS leaves this machine: set tls: starttls or tls"]
        return []


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST of JSON for each alert that opens, stays open, or closes. With a secret it is signed: the header
    `chartwire-signature` is `sha256=` and the HMAC-SHA-256 of the body in hexadecimal (RFC 2104)."""

    url: Annotated[str, "https://..., or http:// on this machine"]
    secret: Annotated[Secret, "empty: not signed"] = _NONE

    def problems(self) -> list[str]:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ["url should be https://HOST/..."]
        if parts.scheme == "http" and not _here(parts.hostname):
            return ["a webhook without TLS leaves this machine: write https://"]
        return []


@dataclass(frozen=True, slots=True)
class AlertsFile:
    """What is watched. An alert opens when its condition holds, and closes when it has not held for `calm`."""

    every: Annotated[Seconds, "how often is looked"] = 10.0
    calm: Annotated[Seconds, "how long a condition must be gone before its alert closes"] = 60.0
    repeat: Annotated[Seconds, "how often one that is open and not acknowledged is told again"] = 14400.0
    silent: Annotated[Mapping[str, Seconds], "channel: how long it may receive nothing"] = field(
        default_factory=dict
    )
    learned: Annotated[
        Learned | None, "silence of channels that are not listed, by what is usual at the hour"
    ] = None
    clock: Annotated[Seconds | None, "how wrong the machine's clock may be, as whoever keeps it says"] = None
    stuck: Annotated[bool, "a lane that stands still, or deliveries that were set aside"] = True
    queue_age: Annotated[Seconds | None, "how old what waits may be"] = 600.0
    queue_depth: Annotated[int | None, "how many may wait at one channel or destination"] = None
    ack_latency: Annotated[
        Seconds | None, "how long our acknowledgements may take, 95 of 100, of the last five minutes"
    ] = None
    answer_latency: Annotated[Seconds | None, "how long the answers of partners may take, likewise"] = None
    errors: Annotated[Errors | None, "messages that come to no good end"] = field(default_factory=Errors)
    overdue: Annotated[bool, "answers that did not come in time"] = True
    disk: Annotated[float | None, "per cent of the data directory's file system that may be used"] = 90.0
    certificate: Annotated[Seconds | None, "how long before its end a certificate is told of"] = 30 * 86400.0
    mail: Annotated[Mail | None, "who is told by mail"] = None
    webhook: Annotated[Webhook | None, "which program is told"] = None

    @property
    def notifiers(self) -> tuple[Mail | Webhook, ...]:
        """Who is told beside the log."""
        return tuple(each for each in (self.mail, self.webhook) if each)


def _here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
