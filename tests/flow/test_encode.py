"""What leaves in the partner's own header, character set and segment ends, under a control id of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.mllp_peer import Said, acknowledgement, fields, receiver
from tests.flow.installation import channel, running
from tests.flow.messages import adt

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}}}
routes:
  - from: adt
    to: ward
    transform:
      - hl7.set: {{field: MSH-5, value: WARD}}
      - hl7.set: {{field: MSH-12, value: "2.3"}}
      - hl7.encode: {{charset: 8859/1, terminator: {end}}}
"""


@pytest.mark.parametrize(("name", "end"), [("cr", b"\r"), ("lf", b"\n"), ("crlf", b"\r\n")])
async def test_the_partner_gets_what_it_can_read(tmp_path: Path, name: str, end: bytes) -> None:
    async with receiver(_crossed) as ward:
        files = {"channels/adt.yaml": channel("adt"), "routes.yaml": ROUTES.format(port=ward.port, end=name)}
        async with running(tmp_path, files) as site:
            body = adt("E1", "E", family="MÜLLER").replace(b"|2.5.1\r", b"|2.5.1||||||UNICODE UTF-8\r")
            sender = await site.sender("adt")
            assert fields(await sender.ask(body), b"MSA")[1] == "AA"
            await site.deliveries("E1", "DELIVERED")
            (got,) = ward.got
            await sender.leave()
    head, *rest = got.rstrip(end).split(end)
    msh = head.decode().split("|")
    assert (msh[4], msh[11], msh[17]) == ("WARD", "2.3", "8859/1")
    assert msh[9] != "E1", "the control id is ours"
    assert [line[:3] for line in rest] == [b"EVN", b"PID", b"PV1"]
    assert "MÜLLER".encode("latin-1") in rest[1]


def _crossed(message: bytes) -> Said:
    return acknowledgement(message.replace(b"\r\n", b"\r").replace(b"\n", b"\r"))
