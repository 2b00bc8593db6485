"""All associations of one port: who may call, what is supported, and the threads that serve them."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog

from adapters.dicom.bridge import Bridge
from adapters.dicom.connection import Connection
from adapters.dicom.find import Find, Query, responses
from adapters.dicom.seam import prepare
from adapters.dicom.store import CANNOT_UNDERSTAND, Command, Status, Store
from engine.plugin import Intake

log = structlog.get_logger(__name__)

POLL = 0.05
"""Seconds between looks whether the listener is to end."""
_BACKLOG = 128
_WORKLIST = "1.2.840.10008.5.1.4.31"


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is called, who may call, and how much of it."""

    address: tuple[str, int]
    title: str
    callers: tuple[str, ...]
    max_pdu: int
    max_associations: int
    max_size: int
    timeout: float


class Listener:
    """One application entity at one address."""

    def __init__(self, terms: Terms, intake: Intake, context: ssl.SSLContext | None) -> None:
        self._terms = terms
        self._intake = intake
        self._context = context
        bridge = Bridge(asyncio.get_running_loop())
        self._store, self._find = Store(intake, bridge), Find(intake, bridge)
        self._connections: dict[Any, Connection] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._threads: set[threading.Thread] = set()

    def open(self) -> tuple[str, int]:
        """Where it listens. Blocks. OSError: the address cannot be had."""
        prepare()
        self._server = self._made()
        name = f"dicom {self._terms.title}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL,), name=name, daemon=True
        )
        self._thread.start()
        host, port, *_ = self._server.server_address
        return host, port

    def close(self) -> None:
        """Take nothing more, answer what is in hand, be gone. Blocks."""
        socketserver.BaseServer.shutdown(self._server)
        self._server.server_close()
        self._thread.join()
        with self._lock:
            self._stopping = True
            open_ones, threads = list(self._connections.values()), list(self._threads)
        for connection in open_ones:
            connection.stop()
        for thread in threads:
            thread.join()

    def _made(self) -> Any:
        from pynetdicom import AE, evt
        from pynetdicom.transport import ThreadedAssociationServer

        terms = self._terms
        entity = AE(terms.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(terms.callers)
        entity.maximum_pdu_size = terms.max_pdu
        entity.maximum_associations = terms.max_associations
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = terms.timeout
        server: Any = entity.make_server(
            terms.address,
            contexts=_contexts(),
            evt_handlers=[
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_FIND, self._on_find),
                (evt.EVT_REJECTED, _rejected),
            ],
            server_class=ThreadedAssociationServer,
            request_handler=_handler(self.serve),
        )
        server.contexts = _Shared(server.contexts)
        server.daemon_threads = True
        server.socket.listen(_BACKLOG)
        return server

    def serve(self, handler: Any) -> None:
        """One connection, in a thread of its own."""
        with self._lock:
            if self._stopping:
                return
            self._threads.add(threading.current_thread())
        try:
            self._associated(handler)
        except OSError as e:
            log.info("dicom.no_tls", error=type(e).__name__)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            with suppress(OSError):
                handler.request.close()

    def _associated(self, handler: Any) -> None:
        """TLS is agreed here, where nobody else waits for it."""
        if self._context:
            handler.request.settimeout(self._terms.timeout)
            handler.request = self._context.wrap_socket(handler.request, server_side=True)
        handler.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = handler._create_association()
        terms = self._terms
        connection = Connection(association, self._intake.spool.create, terms.max_size, terms.timeout)
        with self._lock:
            if self._stopping:
                return
            self._connections[association] = connection
        try:
            connection.serve(self._store.cut)
        finally:
            with self._lock:
                del self._connections[association]

    # -- in pynetdicom's threads

    def _on_store(self, event: Any) -> Any:
        """EVT_C_STORE: a status; nothing is sent after an abort."""
        connection = self._connections.get(event.assoc)
        request = event.request
        command = Command(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            event.assoc.requestor.ae_title.strip(),
        )
        status = None
        if connection is not None and connection.begin():
            try:
                status = self._store(command, request._dataset_file)
            except Exception as e:  # a defect must not be answered: the sender tries again
                log.error("dicom.store", error=type(e).__name__)
        if status is None:
            event.assoc.abort()
        return _status(status or Status(CANNOT_UNDERSTAND))

    def _on_find(self, event: Any) -> Iterator[tuple[Any, Any]]:
        """EVT_C_FIND: the responses, one by one."""
        connection = self._connections.get(event.assoc)
        request, context = event.request, event.context
        query = Query(
            str(request.AffectedSOPClassUID),
            str(context.transfer_syntax),
            request.Identifier.getvalue(),
            event.assoc.requestor.ae_title.strip(),
        )
        found = None
        if connection is not None and connection.begin():
            try:
                found = self._find(query)
            except Exception as e:
                log.error("dicom.find", error=type(e).__name__)
        if found is None or connection is None:
            event.assoc.abort()
            return
        for status, match in responses(found, lambda: bool(event.is_cancelled), connection.settled):
            yield _status(status), match


def _status(status: Status) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    made.Status = status.code
    if status.comment:
        made.ErrorComment = status.comment
    return made


def _rejected(event: Any) -> None:
    """EVT_REJECTED: a title that is not ours, or a caller that nobody named."""
    asked = event.assoc.requestor.primitive
    log.warning("dicom.rejected", calling=str(asked.calling_ae_title), called=str(asked.called_ae_title))


@cache
def _contexts() -> list[Any]:
    """Verification and the worklist; every storage class, each in every transfer syntax, as it is."""
    from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    stored = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    found = [build_context(Verification), build_context(_WORKLIST)]
    return found + [build_context(uid, ALL_TRANSFER_SYNTAXES) for uid in stored]


class _Shared(list[Any]):
    """Contexts that nobody changes: pynetdicom copies them, all of them, for every association."""

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return list(self)


def _handler(serve: Callable[[Any], None]) -> Any:
    """pynetdicom's request handler, whose association is served to its end in this thread."""
    from pynetdicom.transport import RequestHandler

    class Handler(RequestHandler):
        def handle(self) -> None:
            serve(self)

    return Handler
