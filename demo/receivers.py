"""The partners that are told: a ward board and a pager (MLLP), a warehouse (FHIR over HTTP).

`python -m demo.receivers` prints a JSON line with the addresses, then one for each thing that arrives, and
ends with its standard input. A partner that hears the same control id again answers yes and does nothing.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec

from demo import mllp

READ = msgspec.json.Decoder(float_hook=Decimal)  # 6.30 stays 6.30
WRITE = msgspec.json.Encoder(decimal_format="number")
_telling = Lock()


def _tell(said: dict[str, object]) -> None:
    with _telling:
        print(json.dumps(said), flush=True)


class Listener(ThreadingTCPServer):
    """Takes messages and says AA to each."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.name = name
        self.heard: set[str] = set()
        self.lock = Lock()

    def take(self, body: bytes) -> bytes:
        control = mllp.field(body, "MSH", 10)
        with self.lock:
            if control not in self.heard:
                self.heard.add(control)
                self._report(body)
        return _acknowledgement(body, control)

    def _report(self, body: bytes) -> None:
        told, patient = mllp.field(body, "MSH", 7), mllp.field(body, "PID", 3).partition("^")[0]
        _tell({"at": self.name, "told": told, "patient": patient, "time": time.time()})


class _Conversation(BaseRequestHandler):
    server: Listener

    def handle(self) -> None:
        for body in mllp.blocks(self.request):
            mllp.send(self.request, self.server.take(body))


def _acknowledgement(body: bytes, control: str) -> bytes:
    own, facility, other, others = (mllp.field(body, "MSH", n) for n in (5, 6, 3, 4))
    now = time.strftime("%Y%m%d%H%M%S")
    head = f"MSH|^~\\&|{own}|{facility}|{other}|{others}|{now}||ACK|A{control}|P|2.5.1"
    code = "CA" if mllp.field(body, "MSH", 15) else "AA"  # enhanced mode where it is asked for (2.9.3)
    return f"{head}\rMSA|{code}|{control}\r".encode()


class Warehouse(ThreadingHTTPServer):
    """Holds the newest version of every resource that a transaction brought."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Transaction)
        self.resources: dict[str, Any] = {}
        self.heard: set[str] = set()
        self.lock = Lock()

    def take(self, bundle: Any, key: str) -> Any:
        with self.lock:
            answers = [self._entry(e) for e in bundle.get("entry", [])]
            if key not in self.heard:
                self.heard.add(key)
                _tell({"at": "warehouse", "time": time.time()})
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def _entry(self, entry: Any) -> Any:
        method, url = entry["request"]["method"], entry["request"]["url"]
        if method == "DELETE":
            self.resources.pop(url, None)
            return {"response": {"status": "204 No Content"}}
        status = "200 OK" if url in self.resources else "201 Created"
        self.resources[url] = entry["resource"]
        return {"response": {"status": status, "location": url}}

    def all(self, type: str) -> Any:
        with self.lock:
            found = [r for r in self.resources.values() if r["resourceType"] == type]
        entries = [{"resource": r} for r in found]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}


class _Transaction(BaseHTTPRequestHandler):
    server: Warehouse
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one write

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bundle = READ.decode(body)
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != "transaction":
            return self._answer(400, {"resourceType": "OperationOutcome"})
        return self._answer(200, self.server.take(bundle, self.headers["Idempotency-Key"]))

    def do_GET(self) -> None:
        self._answer(200, self.server.all(urlsplit(self.path).path.rpartition("/")[2]))

    def _answer(self, status: int, body: Any) -> None:
        data = WRITE.encode(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/fhir+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what arrives is told on standard output."""


def main() -> None:
    board, pager, warehouse = Listener("ward_board"), Listener("pager"), Warehouse()
    servers = {"ward_board": board, "pager": pager, "warehouse": warehouse}
    for server in servers.values():
        Thread(target=server.serve_forever, daemon=True).start()
    _tell({"ready": {name: server.server_address[1] for name, server in servers.items()}})
    sys.stdin.read()


if __name__ == "__main__":
    main()
