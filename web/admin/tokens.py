"""`POST /admin/tokens` {"name": ...}: a new bearer token. It is shown once; only its digest is kept."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.journal.audit import Act, record
from engine.running import Running
from engine.runtime import clock
from store.database import Connection
from web.admin import change
from web.bearer import SQL, digest, new_token
from web.body import body
from web.outcome import outcome


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    name: str


async def create(running: Running, request: Request) -> Response:
    """For the local operator."""
    given = await body(request)
    if isinstance(given, Response):
        return given
    try:
        name = msgspec.json.decode(given, type=Wanted).name.strip()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return outcome(400, "invalid", 'must be {"name": "who will use it"}')
    if not (0 < len(name) <= 100 and name.isprintable()):
        return outcome(400, "invalid", "must be 1 to 100 printable characters", place="name")
    token, now = new_token(), clock.now()

    def work(connection: Connection) -> None:
        connection.run(SQL.add_holder, (digest(token), name, now))
        record(connection, Act(change.who(request), "tokens.create", {"name": name}), now)

    if refused := await change.made(running, change.Change(), work):
        return refused
    return JSONResponse({"name": name, "token": token}, 201, {"cache-control": "no-store"})
