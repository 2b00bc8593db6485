"""What a person changes: who it is, why, and whether it is only to be previewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.client import OPERATOR
from engine.running import Running
from store.database import Alone, Connection, Down, Uncertain
from web.body import body
from web.outcome import outcome


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """The base of every request that changes something; `dry_run` previews it."""

    why: str = ""
    dry_run: bool = False


C = TypeVar("C", bound=Change)


async def asked(request: Request, type: type[C]) -> C | Response:
    """The request, or what is wrong with it. Nothing is changed without a reason."""
    given = await body(request)
    if isinstance(given, Response):
        return given
    try:
        change = msgspec.json.decode(given or b"{}", type=type)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return outcome(400, "invalid", _text(error, type))
    if not change.dry_run and not (
        change.why.strip() and change.why.isprintable() and len(change.why) <= 500
    ):
        return outcome(400, "required", "say why, in 1 to 500 printable characters", place="why")
    return change


T = TypeVar("T")


async def made(running: Running, change: Change, work: Callable[[Connection], T]) -> T | Response:
    """What `work` gives once it is durable, or the refusal. With `dry_run` it is undone: what it would give."""

    def changed(connection: Connection) -> T:
        connection.alone(Alone.CHART)  # what is filed meanwhile looks at lanes that change here
        return work(connection)

    def preview(connection: Connection) -> T:
        connection.run("SAVEPOINT preview")
        found = changed(connection)
        connection.run("ROLLBACK TO preview")
        connection.run("RELEASE preview")
        return found

    try:
        return await running.committer.submit(preview if change.dry_run else changed, first=True)
    except (Down, Uncertain):
        return outcome(503, "transient", "it could not be stored; try again")


async def forbidden(running: Running, request: Request) -> Response:
    """Whoever holds a token reads; what is changed, the operator changes."""
    return outcome(
        403, "forbidden", "only the local operator can do that: use `chartwire` on the engine's machine"
    )


def _text(error: Exception, type: type[Change]) -> str:
    names = ", ".join(field.encode_name for field in msgspec.structs.fields(type))
    told = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
    return f"the request cannot be read: {told}; it may have {names}"


def who(request: Request) -> str:
    """The holder of the token; on the operator's own socket, who the operator says that he is."""
    if (holder := request.scope.get("holder")) is not None:
        return f"token {holder}"
    return request.headers.get(OPERATOR, "operator")[:100]
