"""TLS for MLLP, 1.2 at least: `mllps`."""

from __future__ import annotations

import ssl


def server(certificate: str, key: str, client_ca: str) -> ssl.SSLContext:
    """For a listener. With `client_ca`, only clients with a certificate of that authority are let in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key or None)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(ca: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """For a caller. Trusts `ca`, or else what the machine trusts (SSL_CERT_FILE changes that)."""
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        context.load_cert_chain(certificate, key or None)
    return context
