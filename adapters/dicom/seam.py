"""Where pynetdicom 3.0.4 is told to write what it receives into the spool, and nowhere else.

With `STORE_RECV_CHUNKED_DATASET`, `DIMSEMessage.decode_msg` writes preamble, file meta information and each piece of
a C-STORE data set, as it arrives, to `pynetdicom.dimse_messages.NamedTemporaryFile(delete=False, ...)`, which would
be in /tmp; the handler is then given that file, and `StorageServiceClass.SCP` closes and unlinks it after the
handler (one that was renamed is not there any more). That name is replaced here, once for the process, by a function
that asks the association under whose hands the current thread is. A thread that is under none of ours gets the
file that it asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


class _Current(threading.local):
    create: Callable[[], Any] | None = None


_CURRENT = _Current()


@contextmanager
def writing_to(create: Callable[[], Any]) -> Iterator[None]:
    """While this thread is in here, a data set that begins is written to what `create` makes."""
    before, _CURRENT.create = _CURRENT.create, create
    try:
        yield
    finally:
        _CURRENT.create = before


def careful(association: Any) -> Callable[[Any], None]:
    """pynetdicom's `receive_primitive`, but what it cannot read is an invalid PDU (PS3.8 9.2.3, AA-8), which ends the
    association, and not an exception, which ends the thread."""
    receive = association.dimse.receive_primitive

    def received(primitive: Any) -> None:
        try:
            receive(primitive)
        except Exception:  # whatever pydicom makes of bytes that are no command
            invalid(association)

    return received


def invalid(association: Any) -> None:
    association.dul.event_queue.put("Evt19")


@cache
def prepare() -> None:
    """Once in a process, before the first association. Nothing of a data set is logged."""
    from pynetdicom import _config, dimse_messages

    ordinary = dimse_messages.NamedTemporaryFile  # type: ignore[attr-defined]

    def file(*args: Any, **named: Any) -> Any:
        return _CURRENT.create() if _CURRENT.create else ordinary(*args, **named)

    dimse_messages.NamedTemporaryFile = file  # type: ignore[attr-defined]
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _silence()


def _silence() -> None:
    """Both libraries quote what they cannot read, or find odd; neither may say it anywhere."""
    import logging
    import warnings

    warnings.filterwarnings("ignore", module=r"py(net)?dicom\b")
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)
