"""The running engine, asked through the socket in its data directory that only its operator can open."""

from __future__ import annotations

import json
import os
import pwd
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

if TYPE_CHECKING:
    from http.client import HTTPConnection

SOCKET = "engine.sock"
OPERATOR = "chartwire-operator"
"""The header by which the operator on the socket says who he is."""
PATIENCE = 30.0  # seconds
LONG = 120.0
"""Seconds for what waits until the engine has answered or processed what it has in hand."""


class Refused(Exception):
    """The engine is not there, or says no; the text is for people."""


def refusal(error: Refused) -> int:
    """Say why on standard error; the exit status."""
    print(f"chartwire: {error}", file=sys.stderr)
    return 1


class Engine:
    """A connection to the engine that runs on a data directory."""

    def __init__(self, data: Path, patience: float = PATIENCE) -> None:
        self._data = data
        self._patience = patience
        self._connection: HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._connection:
            self._connection.close()

    def _connected(self) -> HTTPConnection:
        from http.client import HTTPConnection

        if self._connection is None:
            self._connection = HTTPConnection("localhost")
            self._connection.sock = self._socket()
        return self._connection

    def _socket(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(self._patience)
        directory = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY)
        try:  # the directory's own name may be longer than a socket's may be (unix(7): 107 bytes)
            made.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)
        return made

    def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The answer to a GET, decoded."""
        return self._ask("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """The answer to a POST of JSON, decoded."""
        return self._ask("POST", path, json.dumps(content))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        from http.client import HTTPException

        try:
            connection = self._connected()
            connection.request(method, path, body, {OPERATOR: user()})
            response = connection.getresponse()
            content = json.loads(response.read())
        except PermissionError:
            raise Refused(f"the engine on {self._data} belongs to another user; ask as that user") from None
        except (OSError, HTTPException, ValueError):
            text = f"no engine runs on {self._data}; start one with `chartwire run`, or use another --data"
            raise Refused(text) from None
        if response.status >= 400:
            raise Refused(_told(content))
        return content


def user() -> str:
    """The user of this machine, and on whose behalf."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"user {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{name} for {behind}" if behind and behind != name else name


def _told(outcome: Any) -> str:
    """What an OperationOutcome says, a line for each issue."""
    return "\n".join(_line(issue) for issue in outcome["issue"])


def _line(issue: Any) -> str:
    place = issue.get("expression", [""])[0]
    return f"{place} {issue['diagnostics']}" if place else str(issue["diagnostics"])
