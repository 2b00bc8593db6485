"""`Reason` under the name that the store, the engine and the plugins use; the formats give reasons too."""

from formats.reason import Reason

__all__ = ["Reason"]
