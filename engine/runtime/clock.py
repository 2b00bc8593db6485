"""The engine's clock."""

from __future__ import annotations

import ctypes
import time

UNKEPT = 0x40  # STA_UNSYNC of adjtimex(2)


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`; the kernel fills in more."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long), ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256),
    )  # fmt: skip


def uncertainty() -> float | None:
    """Seconds by which the clock may be wrong, as whoever keeps it (chrony, ntpd, timesyncd) told the kernel; None:
    nobody keeps it."""
    timex = _Timex()
    try:
        status = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return None
    return None if status < 0 or timex.status & UNKEPT else timex.maxerror / 1e6
