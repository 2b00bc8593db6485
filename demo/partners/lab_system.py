"""The laboratory's own system: takes OML^O21 over MLLP and answers with ORU^R01 on the results' feed.

accept: AA, then the results at once; late: AA, the results after --after seconds; error: AR, as it does not do
this test; silent: no answer at all; garbage: an answer that is none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from zoneinfo import ZoneInfo

from demo import mllp
from demo.cast import CHEMISTRY, POTASSIUM
from demo.partners.role import options, ready, tell, until_told
from demo.wording import Order, Result, message, msh, report

ZONE = ZoneInfo("America/New_York")
KALIUM = Decimal("5.90")  # high, not yet critical


class LabSystem(ThreadingTCPServer):
    """`results`: where ORU go, `HOST:PORT`. An order that comes again is answered again, and done once."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, results: str, behave: str = "accept", after: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self._results, self._behave, self._after = results, behave, after
        self._heard: set[str] = set()
        self._lock = Lock()

    def take(self, body: bytes) -> bytes | None:
        """The answer; None: there is none."""
        control = mllp.field(body, "MSH", 10)
        placer = mllp.field(body, "ORC", 2)
        does = mllp.field(body, "ORC", 1)
        with self._lock:
            new = control not in self._heard
            self._heard.add(control)
        tell("lis", does=does, order=placer.partition("^")[0], control=control, again=not new)
        if new and does == "NW" and self._behave in ("accept", "late"):
            Thread(target=self._work, args=(body,), daemon=True).start()
        return self._answer(body, control)

    def _answer(self, body: bytes, control: str) -> bytes | None:
        match self._behave:
            case "silent":
                return None
            case "garbage":
                return b"\x00 not an acknowledgement"
        code = "AR" if self._behave == "error" else "AA"
        head = msh("LIS", "ACK^O21^ACK", f"A{control}", datetime.now(ZONE))
        error = ["ERR||OBR^1^4|103^Table value not found^HL70357|E"] if code == "AR" else []
        return message(head, f"MSA|{code}|{control}", *error)

    def _work(self, order: bytes) -> None:
        if self._behave == "late":
            time.sleep(self._after)
        body = results(order, datetime.now(ZONE))
        with mllp.connect(self._results) as link:
            mllp.send(link, body)
            answer = next(mllp.blocks(link), b"")
        number = mllp.field(body, "OBR", 2).partition("^")[0]
        tell("results", order=number, ack=mllp.field(answer, "MSA", 1), control=mllp.field(body, "MSH", 10))


def results(order: bytes, at: datetime) -> bytes:
    """What is found: the patient as the order named him, the order's numbers and code, a panel of results."""
    number = mllp.field(order, "OBR", 2).partition("^")[0]
    code = "^".join(mllp.field(order, "OBR", 4).split("^")[:2])
    by = mllp.field(order, "OBR", 16)
    found = [Result(a, KALIUM if a is POTASSIUM else a.value(n)) for n, a in enumerate(CHEMISTRY)]
    head = msh("LIS", "ORU^R01^ORU_R01", f"LIS{at:%y%m%d%H%M%S%f}"[:20], at, commit="AL")
    lines = report(Order(number, code, at, by), found, "F", at)
    return message(head, *_kept(order, ("PID", "PV1")), *lines)


def _kept(body: bytes, names: Sequence[str]) -> list[str]:
    return [line for line in body.decode().split("\r") if line[:3] in names]


class _Conversation(BaseRequestHandler):
    server: LabSystem

    def handle(self) -> None:
        for body in mllp.blocks(self.request):
            if answer := self.server.take(body):
                mllp.send(self.request, answer)


def main() -> None:
    parser = options(__doc__, "accept", "late", "error", "silent", "garbage")
    parser.add_argument("--results", default="127.0.0.1:2576", help="where ORU go: HOST:PORT")
    parser.add_argument("--after", type=float, default=5.0, help="seconds that `late` waits")
    given = parser.parse_args()
    server = LabSystem(given.results, given.behave, given.after)
    Thread(target=server.serve_forever, daemon=True).start()
    ready(lis=server.server_address[1])
    until_told()


if __name__ == "__main__":
    main()
