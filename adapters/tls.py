"""TLS for every wire that listens or calls, 1.2 at least, and what is to be said where there is none."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path


def server(certificate: Path, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    """For a listener. With `client_ca`, only clients with a certificate of that authority are let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(
    ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """For a caller. Trusts `ca`, or else what the machine trusts (SSL_CERT_FILE changes that)."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


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
