"""The running engine, asked through the socket in its data directory that only its operator can open."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

SOCKET = "engine.sock"
PATIENCE = 30.0  # seconds


class Refused(Exception):
    """The engine is not there, or says no; the text is for people."""


def refusal(error: Refused) -> int:
    """Say why on standard error; the exit status."""
    print(f"chartwire: {error}", file=sys.stderr)
    return 1


class Engine(http.client.HTTPConnection):
    """A connection to the engine that runs on a data directory."""

    def __init__(self, data: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._data = data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        directory = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        try:  # the directory's own name may be longer than a socket's may be (unix(7): 107 bytes)
            self.sock.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The answer to a GET, decoded."""
        return self._ask("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """The answer to a POST of JSON, decoded."""
        return self._ask("POST", path, json.dumps(content))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        try:
            self.request(method, path, body)
            response = self.getresponse()
            content = json.loads(response.read())
        except PermissionError:
            raise Refused(f"the engine on {self._data} belongs to another user; ask as that user") from None
        except (OSError, http.client.HTTPException, ValueError):
            text = f"no engine runs on {self._data}; start one with `chartwire run`, or use another --data"
            raise Refused(text) from None
        if response.status >= 400:
            raise Refused(_told(content))
        return content


def _told(outcome: Any) -> str:
    """What an OperationOutcome says."""
    issue = outcome["issue"][0]
    place = issue.get("expression", [""])[0]
    return f"{place} {issue['diagnostics']}" if place else str(issue["diagnostics"])
