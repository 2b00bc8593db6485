"""A pharmacy: an HTTPS server that takes NCPDP SCRIPT NewRx and says what becomes of it.

accept: Status in the same response; late: an empty 202, then Status posted to --answers after --after seconds;
error: Error 900 in the same response; silent: the request hangs; garbage: a response that is not XML.
"""

from __future__ import annotations

import ssl
import time
import urllib.request
import uuid
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from xml.sax.saxutils import escape

from demo.partners.role import options, ready, tell, until_told

VERSION = "20170715"
STATUS = "<Status><Code>000</Code></Status>"
ERROR = (
    "<Error><Code>900</Code><DescriptionCode>1000</DescriptionCode>"
    "<Description>The pharmacy does not carry this drug.</Description></Error>"
)


class Pharmacy(ThreadingHTTPServer):
    """A message that comes again is answered again, and filled once. `answers`: the URL for late ones."""

    daemon_threads = True

    def __init__(
        self, behave: str = "accept", answers: str = "", after: float = 0.0, token: str = ""
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.behave, self._answers, self._after, self._token = behave, answers, after, token
        self._heard: set[str] = set()
        self._lock = Lock()

    def take(self, body: bytes) -> tuple[int, bytes] | None:
        """Status and body of the response; None: there is none."""
        message = ET.fromstring(body)
        id, kind = text(message, "MessageID"), kind_of(message)
        with self._lock:
            new = id not in self._heard
            self._heard.add(id)
        tell("pharmacy", kind=kind, message=id, drug=text(message, "DrugDescription"), again=not new)
        match self.behave:
            case "late":
                if new:
                    Thread(target=self._later, args=(answer(message, STATUS),), daemon=True).start()
                return 202, b""
            case "error":
                return 200, answer(message, ERROR)
            case "silent":
                return None
            case "garbage":
                return 200, b"\x1f\x8b thank you"
        return 200, answer(message, STATUS)

    def _later(self, body: bytes) -> None:
        time.sleep(self._after)
        request = urllib.request.Request(self._answers, body, {"Content-Type": "application/xml"})
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=30) as response:
            tell("answer", status=response.status)


def answer(message: ET.Element, body: str) -> bytes:
    """What is said back: to whom it came from, about the message that it was."""
    to, sender = text(message, "From"), text(message, "To")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>'
        f'<Message DatatypesVersion="{VERSION}" TransportVersion="{VERSION}" TransactionDomain="SCRIPT" '
        f'TransactionVersion="{VERSION}" StructuresVersion="{VERSION}" ECLVersion="{VERSION}"><Header>'
        f'<To Qualifier="D">{escape(to)}</To><From Qualifier="P">{escape(sender)}</From>'
        f"<MessageID>{uuid.uuid4().hex}</MessageID>"
        f"<RelatesToMessageID>{escape(text(message, 'MessageID'))}</RelatesToMessageID>"
        f"<SentTime>{now}</SentTime></Header><Body>{body}</Body></Message>"
    ).encode()


def text(message: ET.Element, name: str) -> str:
    """The text of the first element of that name, whatever its namespace."""
    found = message.find(f".//{{*}}{name}")
    return (found.text or "").strip() if found is not None else ""


def kind_of(message: ET.Element) -> str:
    body = message.find("{*}Body")
    return body[0].tag.rpartition("}")[2] if body is not None and len(body) else ""


class _Conversation(BaseHTTPRequestHandler):
    server: Pharmacy
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write

    def do_POST(self) -> None:
        said = self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        if said is None:
            time.sleep(600)
            return
        status, body = said
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what arrives is told on standard output."""


def main() -> None:
    parser = options(__doc__, "accept", "late", "error", "silent", "garbage")
    parser.add_argument("--certificate", help="PEM file; without it, plain HTTP")
    parser.add_argument("--key", help="PEM file")
    parser.add_argument("--answers", default="", help="where late answers are posted: a URL")
    parser.add_argument("--token", default="", help="bearer token for --answers")
    parser.add_argument("--after", type=float, default=2.0, help="seconds that `late` waits")
    given = parser.parse_args()
    server = Pharmacy(given.behave, given.answers, given.after, given.token)
    scheme = "http"
    if given.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.certificate, given.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    Thread(target=server.serve_forever, daemon=True).start()
    ready(pharmacy=f"{scheme}://localhost:{server.server_address[1]}/")
    until_told()


if __name__ == "__main__":
    main()
