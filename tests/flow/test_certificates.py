"""Certificates: listed with the days that are left, told of before they end, exchanged without a restart."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from tests.adapters.certificates import Authority
from tests.adapters.mllp_peer import Sender, acknowledgement, fields, receiver
from tests.flow.installation import channel, running, until
from tests.flow.messages import adt

TLS = 'mllp: {{port: 0, certificate: "{0}", key: "{1}"}}'
ROUTES = """
destinations:
  ward: {{mllp: {{host: localhost, port: {port}, tls: true, ca: "{ca}"}}, retry: {{first: 50ms, max: 50ms}}}}
routes:
  - {{from: adt, to: ward}}
"""
ALERTS = "every: 100ms\ncalm: 200ms\ncertificate: 30d\n"


def exchange(into: Path, certificate: Path, key: Path) -> None:
    """As a careful operator does: each file in one move, the time of change visibly another."""
    for source, name in ((key, "live.key"), (certificate, "live.crt")):
        copy = into / f"{name}.new"
        shutil.copy(source, copy)
        os.replace(copy, into / name)


def serial(address: str, ca: Path) -> int:
    """Of the certificate that a new connection is shown."""
    host, _, port = address.partition("://")[2].rpartition(":")
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection((host, int(port))) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def issued(authority: Authority, tmp_path: Path, name: str) -> tuple[Path, Path]:
    certificate, key = authority.issue("localhost")
    copies = tmp_path / f"{name}.crt", tmp_path / f"{name}.key"
    certificate.rename(copies[0])
    key.rename(copies[1])
    return copies


async def test_a_new_one_is_used_without_a_restart_and_a_bad_one_is_not(
    tmp_path: Path, authority: Authority
) -> None:
    first, second, third = (issued(authority, tmp_path, name) for name in ("one", "two", "three"))
    live = tmp_path / "live"
    live.mkdir()
    exchange(live, *first)
    source = TLS.format(live / "live.crt", live / "live.key")
    site_files = {"channels/adt.yaml": channel("adt", source), "alerts.yaml": ALERTS}
    trust = ssl.create_default_context(cafile=str(authority.ca))
    async with running(tmp_path, site_files) as site:
        address = site.sources["adt"]
        old = await Sender.connect(address, trust)
        assert fields(await old.ask(adt("A1", "A")), b"MSA")[1] == "AA"
        shown = await asyncio.to_thread(serial, address, authority.ca)
        exchange(live, *second)

        async def renewed() -> bool:
            return await asyncio.to_thread(serial, address, authority.ca) != shown

        await until(renewed)
        now = await asyncio.to_thread(serial, address, authority.ca)
        assert fields(await old.ask(adt("A2", "A", "A08")), b"MSA")[1] == "AA", "an open connection lives on"
        exchange(live, third[0], first[1])  # a key that does not fit

        async def told() -> bool:
            return "the old one stays" in site.log()

        await until(told)
        assert await asyncio.to_thread(serial, address, authority.ca) == now
        exchange(live, *third)

        async def again() -> bool:
            return await asyncio.to_thread(serial, address, authority.ca) != now

        await until(again)
        await old.leave()


async def test_each_is_listed_with_its_days_and_told_of_before_it_ends(
    tmp_path: Path, authority: Authority
) -> None:
    """Those of the tests are good for two days."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = issued(authority, tmp_path, "one")
    server.load_cert_chain(certificate, key)
    async with receiver(acknowledgement, server) as ward:
        files = {
            "channels/adt.yaml": channel("adt", TLS.format(certificate, key)),
            "routes.yaml": ROUTES.format(port=ward.port, ca=authority.ca),
            "alerts.yaml": ALERTS,
        }
        async with running(tmp_path, files) as site:
            listed = await site.command("certificates", "--json")
            assert listed.returncode == 0, listed.stderr
            found = {each["where"]: each for each in map(json.loads, listed.stdout.splitlines())}
            assert set(found) == {"channel adt: certificate", "destination ward: ca"}
            assert {each["days"] for each in found.values()} == {1}
            assert found["channel adt: certificate"]["subject"] == "CN=localhost"

            async def told() -> list[str]:
                alerts = (await site.get("/admin/alerts"))["alerts"]
                subjects = [a["subject"] for a in alerts if a["rule"] == "certificate"]
                return sorted(subjects) if len(subjects) == 2 else []

            assert await until(told) == ["channel adt: certificate", "destination ward: ca"]
            certificate.write_bytes(b"no certificate")
            broken = await site.command("certificates")
            assert broken.returncode == 1
            assert "ValueError" in broken.stdout


async def test_without_tls_there_is_none(tmp_path: Path) -> None:
    async with running(tmp_path, {"channels/adt.yaml": channel("adt")}) as site:
        assert (await site.command("certificates")).stdout == "no certificate is in use\n"
