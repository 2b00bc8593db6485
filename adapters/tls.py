"""TLS for every wire that listens or calls, 1.2 at least, and what is to be said where there is none."""

from __future__ import annotations

import ssl
import weakref
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Protocol

import structlog

log = structlog.get_logger("tls")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a context that is in use was loaded from, and when those files were changed last (nanoseconds)."""

    context: weakref.ref[ssl.SSLContext]
    certificate: Path | None
    key: Path | None
    ca: Path | None
    changed: tuple[int, ...]


_loaded: list[_Loaded] = []


def renew() -> None:
    """Take up files that were exchanged, for connections that are made from now on; those that are open live on.
    What cannot be used is told in the log, and the old one stays. An authority that was taken out of a file of
    authorities is trusted until the restart. Called every few seconds, on the event loop."""
    for n, each in enumerate(_loaded):
        context, changed = each.context(), _changed(each.certificate, each.key, each.ca)
        if context is not None and changed != each.changed:
            _loaded[n] = replace(each, changed=changed)
            _renew(context, each)
    _loaded[:] = [each for each in _loaded if each.context() is not None]


def _renew(context: ssl.SSLContext, loaded: _Loaded) -> None:
    try:
        if loaded.certificate:  # a key that does not fit would leave the context with neither
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(loaded.certificate, loaded.key)
            context.load_cert_chain(loaded.certificate, loaded.key)
        if loaded.ca:
            context.load_verify_locations(loaded.ca)
        log.info("certificates renewed", certificate=str(loaded.certificate or ""), ca=str(loaded.ca or ""))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        log.error("the new certificate cannot be used; the old one stays", file=str(loaded.certificate or loaded.ca),
                  error=type(error).__name__)  # fmt: skip


def _changed(*files: Path | None) -> tuple[int, ...]:
    return tuple(_modified(file) for file in files if file)


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _remembered(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, ca: Path | None
) -> ssl.SSLContext:
    changed = _changed(certificate, key, ca)
    _loaded.append(_Loaded(weakref.ref(context), certificate, key, ca, changed))
    return context


def server(certificate: Path, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """For a listener. With `client_ca`, only clients with a certificate of that authority are let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return _remembered(context, certificate, key, client_ca)


def client(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For a caller. Trusts `ca`, or else what the machine trusts (SSL_CERT_FILE changes that)."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key)
    return _remembered(context, certificate, key, ca)


def loopback(host: str) -> bool:
    """Does what goes there stay on this machine?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def accepted(risk: str) -> bool:
    """Is the risk named, in a sentence and not in a word?"""
    return len(risk.split()) > 2


def missing(*files: Path | None) -> list[str]:
    """What is to be said of those that are not there."""
    return [f"there is no file {file}" for file in files if file and not file.is_file()]


class Calling(Protocol):
    """The settings of everything that connects to a partner."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> bool: ...
    @property
    def ca(self) -> Path | None: ...
    @property
    def certificate(self) -> Path | None: ...
    @property
    def key(self) -> Path | None: ...
    @property
    def accept_plaintext_risk(self) -> str: ...


def exposed(to: Calling) -> bool:
    """Does it leave this machine in plaintext?"""
    return not to.tls and not loopback(to.host)


def problems(to: Calling) -> list[str]:
    """What is wrong with how it connects."""
    found = [] if 0 < to.port <= 65535 else [f"port {to.port} is no TCP port"]
    if (to.ca or to.certificate or to.key) and not to.tls:
        found.append("ca, certificate and key need tls: true")
    if exposed(to) and not accepted(to.accept_plaintext_risk):
        found.append(
            f"{to.host} is not loopback and has no TLS; set tls: true, "
            "or accept_plaintext_risk to a sentence that names the risk"
        )
    return found + missing(to.ca, to.certificate, to.key)


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The settings of every source that listens on a TCP port."""

    port: Annotated[int, "TCP port to listen on"]
    host: Annotated[str, "address to listen on; anything but loopback needs TLS or an accepted risk"] = (
        "127.0.0.1"
    )
    certificate: Annotated[Path | None, "PEM file with our certificate chain: TLS"] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    client_ca: Annotated[
        Path | None, "PEM file: only clients with a certificate of this authority may connect"
    ] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of listening off loopback without TLS"
    ] = ""

    def address(self) -> str:
        """Where it listens, as `host:port`: two sources may not have the same."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [] if 0 <= self.port <= 65535 else [f"port {self.port} is no TCP port"]
        if self._exposed() and not accepted(self.accept_plaintext_risk):
            found.append(
                f"{self.address()} is not loopback and has no TLS; set certificate and key, "
                "or accept_plaintext_risk to a sentence that names the risk"
            )
        if (self.key or self.client_ca) and not self.certificate:
            found.append("key and client_ca need a certificate")
        return found + missing(self.certificate, self.key, self.client_ca)

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        return [f"plaintext on {self.address()}: {self.accept_plaintext_risk}"] if self._exposed() else []

    def context(self) -> ssl.SSLContext | None:
        """None: plaintext."""
        return server(self.certificate, self.key, self.client_ca) if self.certificate else None

    def _exposed(self) -> bool:
        return not self.certificate and not loopback(self.host)
