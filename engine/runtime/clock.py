"""The engine's clock."""

import time


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
