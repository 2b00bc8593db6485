"""Processes on several hosts that share nothing but a network: each in a namespace of its own, with a name, an address
and a data directory of its own, and a cable that can be pulled."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.journal.claims import TERM
from tests.faults.house import FOUR, ROUNDS, Load, Report, Where, ended, house
from tests.postgres_server import PostgresServer, postgres_server

pytestmark = pytest.mark.postgres
IP = shutil.which("ip") or "/usr/sbin/ip"
RISK = "a network of this machine alone"


@dataclass(frozen=True, slots=True)
class Network:
    """A bridge of this machine; `hosts` are the namespaces by what runs in them."""

    bridge: str
    prefix: str
    hosts: dict[str, str]

    @property
    def here(self) -> str:
        return f"{self.prefix}.1"

    def wrapper(self, name: str) -> tuple[str, ...]:
        inside = f'hostname "{self.hosts[name]}" && exec "$@"'
        return (IP, "netns", "exec", self.hosts[name], "unshare", "--uts", "sh", "-c", inside, "sh")

    def cable(self, name: str, state: str) -> None:
        """`down`: nothing comes through, and nobody is told."""
        ip("link", "set", f"{self.hosts[name]}h", state)


def ip(*words: str) -> None:
    done = subprocess.run([IP, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {words}: {done.stderr}"


@contextmanager
def network(names: list[str]) -> Iterator[Network]:
    short = f"cw{os.getpid() % 0xFFFFF:x}"
    hosts = {name: f"{short}{n}" for n, name in enumerate(names)}
    made = Network(short, f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}", hosts)
    try:
        ip("link", "add", made.bridge, "type", "bridge")
        ip("addr", "add", f"{made.here}/24", "dev", made.bridge)
        ip("link", "set", made.bridge, "up")
        for n, host in enumerate(hosts.values(), start=11):
            ip("netns", "add", host)
            ip("link", "add", f"{host}h", "type", "veth", "peer", "name", "eth0", "netns", host)
            ip("link", "set", f"{host}h", "master", made.bridge, "up")
            ip("-n", host, "addr", "add", f"{made.prefix}.{n}/24", "dev", "eth0")
            ip("-n", host, "link", "set", "eth0", "up")
            ip("-n", host, "link", "set", "lo", "up")
        yield made
    finally:
        for host in hosts.values():
            subprocess.run([IP, "netns", "del", host], check=False, capture_output=True)
        subprocess.run([IP, "link", "del", made.bridge], check=False, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[Network]:
    if os.geteuid() or not Path(IP).exists():
        pytest.skip("only root makes networks, with ip(8)")
    if subprocess.run([IP, "link", "add", "cwtry", "type", "bridge"], check=False).returncode:
        pytest.skip("this machine makes no networks")
    ip("link", "del", "cwtry")
    with network([*FOUR]) as made:
        yield made


@pytest.fixture
def reachable(hosts: Network) -> Iterator[PostgresServer]:
    """A server for all of them."""
    with postgres_server(f"listen_addresses = '{hosts.here}'") as running:
        with (running.home / "data/pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {hosts.prefix}.0/24 trust\n")
        running.stop("fast")
        running.start()
        yield running


async def test_a_worker_whose_cable_is_pulled(
    hosts: Network, reachable: PostgresServer, tmp_path: Path, report: Report
) -> None:
    """It can reach nobody, and nobody it; the other worker takes over. When the cable is back it writes nothing that is
    not its own any more, and works again."""
    url = reachable.database(tmp_path).partition("?")[0].replace("@/", f"@{hosts.here}/")
    where = Where(
        source=f", host: 0.0.0.0, accept_plaintext_risk: {RISK}",
        destination=f"host: {hosts.here}, accept_plaintext_risk: {RISK}",
        intake=f"{hosts.prefix}.11",
        wrappers={name: hosts.wrapper(name) for name in FOUR},
    )
    async with house(tmp_path, url, FOUR, where, hosts.here) as site:
        load = Load(site)
        load.start()
        for n in range(max(2, ROUNDS // 10)):
            await load.more(40)
            lonely = f"worker {1 + n % 2}"
            hosts.cable(lonely, "down")
            await asyncio.sleep(1.6 * TERM / 1e6)
            await load.more(20)
            hosts.cable(lonely, "up")
            await asyncio.sleep(1.0)
        await ended(site, load, "a worker on a host whose cable is pulled", report)
        owners = site.ask("SELECT DISTINCT owner FROM claim WHERE kind NOT LIKE 'role %' AND owner <> ''")
        assert {str(owner).partition("-")[0] for (owner,) in owners} <= set(hosts.hosts.values())
