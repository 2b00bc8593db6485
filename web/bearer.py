"""Bearer tokens (RFC 6750). Only their SHA-256 is stored, and they are looked up by it, so that the time that
takes tells nothing about a token."""

from __future__ import annotations

import hashlib
import secrets

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from store.database import Connection, Down, one
from store.database.statements import load
from web.outcome import outcome

SQL = load("web", "bearer.sql")


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


UNREAD = outcome(503, "transient", "the database cannot be read now; try again", headers={"retry-after": "1"})


class Bearer:
    """ASGI middleware: lets through what is open to all, and requests with a token that we gave out."""

    def __init__(self, app: ASGIApp, reader: Connection, open: frozenset[str]) -> None:
        self._app = app
        self._reader = reader
        self._open = open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            holder = None if scope["type"] == "lifespan" else self._holder(scope)
        except Down:
            return await UNREAD(scope, receive, send)
        if scope["type"] == "lifespan" or scope["path"] in self._open or holder is not None:
            return await self._app({**scope, "holder": holder}, receive, send)
        headers = {"www-authenticate": 'Bearer realm="chartwire"'}
        text = "a bearer token is needed; `chartwire token create` makes one"
        return await outcome(401, "login", text, headers=headers)(scope, receive, send)

    def _holder(self, scope: Scope) -> str | None:
        """Whose token it is; None: nobody's."""
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        found = one(self._reader, SQL.holder, (digest(token.strip()),))
        return found[0] if found else None
