"""A configuration that is right compiles to what its files say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from engine.channel import Channel, Configuration, RetryPolicy
from engine.config.read import made
from engine.message import Stop
from engine.settings import Site
from formats import hl7v2

ORU = (
    b"MSH|^~\\&|LAB|X|||20240102030405-0500||ORU^R01|1|P|2.5\r"
    b"PID|1||007^^^HOSP||DOE^JANE\rOBR|1\rOBX|1|NM|K||6.30|||HH\r"
)


def channel(configuration: Configuration, name: str) -> Channel:
    return next(c for c in configuration.channels if c.name == name)


def message(body: bytes) -> hl7v2.Message:
    parsed = hl7v2.parse(body)
    assert isinstance(parsed, hl7v2.Message)
    return parsed


def test_channels_and_partners(loads: Any) -> None:
    made = loads()
    lab, adt = channel(made, "lab"), channel(made, "adt")
    assert lab.source == type(lab.source)(port=2576)
    assert adt.source == type(adt.source)(port=2575, timeout=0.5, largest=65536)
    assert lab.feed.timezone == ZoneInfo("America/New_York")
    assert lab.feed.authority == made.identity.named("hospital")
    assert (adt.feed.clock, adt.feed.rank, adt.ack) == (("EVN-2.1",), 2, "processed")
    assert lab.feed.clock == ("MSH-7.1", "EVN-2.1")
    (pager,) = made.partners
    assert pager.retry == RetryPolicy(1.0, 60.0, 3600.0, None, "hold")
    assert (pager.name, pager.connections, pager.head, pager.destination.host) == (
        "pager",
        4,
        "block",
        "127.0.0.1",
    )


def test_authorities_are_in_the_order_of_the_file(loads: Any) -> None:
    more = "authorities:\n  z: {namespace: 'urn:z', identifies: true}\n  hospital: {namespace: 'urn:a'}\n"
    made = loads({"authorities.yaml": more})
    assert [a.name for a in made.identity.authorities] == ["z", "hospital"]


def test_steps_have_their_settings(loads: Any) -> None:
    translate, only = channel(loads(), "lab").steps
    body = message(ORU)
    assert translate(body).get("OBX-3") == "2823-3"
    assert only(body) is body
    assert isinstance(only(body.set("PID-5.1", "ZZTEST")), Stop)


def test_a_route_of_two_channels_is_one_for_each(loads: Any) -> None:
    made = loads()
    assert [[r.name for r in c.routes] for c in made.channels] == [["adt-pager"], ["lab-pager"]]
    (route,) = channel(made, "lab").routes
    assert route.when(message(ORU))
    assert not route.when(message(ORU.replace(b"HH", b"N")))
    assert route.steps[0](message(ORU)).get("OBX-3") == "2823-3"


def test_order_is_the_patients_own_identifier(loads: Any) -> None:
    lab = channel(loads(), "lab")
    plain, padded = message(ORU), message(ORU.replace(b"007^^^HOSP", b"00007"))
    key = lab.patient(plain)
    assert lab.order(plain, key) == lab.order(padded, lab.patient(padded)) == key.hex()
    assert "007" not in lab.order(plain, key)
    unknown = message(ORU.replace(b"007^^^HOSP", b""))
    assert lab.order(unknown, lab.patient(unknown)) == ""


def test_order_by_a_path_and_by_nothing(loads: Any) -> None:
    lab = channel(loads({"channels/lab.yaml": ("PID-3\n", "PID-5.1\n")}), "lab")
    assert lab.order(message(ORU), None) == "DOE"
    assert channel(loads(), "adt").order(message(ORU), b"key") == ""


def test_charset_is_the_formats_own_setting(loads: Any) -> None:
    body = ORU.replace(b"JANE", b"J\xc4NE")
    assert channel(loads(), "adt").parse(body).get("PID-5.2") == "JÄNE"
    lab = channel(loads(), "lab")
    assert lab.legible(lab.parse(body)).place == "PID-5.2"


def test_channels_on_one_source_share_it_and_are_told_apart_by_feed(loads: Any) -> None:
    text = "channel: {0}\nsource: {{example.port: {{port: 1}}}}\nformat: hl7v2\ntimezone: UTC\n"
    text += "feed: {{MSH-3: {0}}}\n"
    made = loads({"channels/a.yaml": text.format("a"), "channels/b.yaml": text.format("b")})
    a, b = channel(made, "a"), channel(made, "b")
    assert a.source is b.source
    body = message(ORU.replace(b"|LAB|", b"|a^1.2.3^ISO|"))
    assert (a.mine(body), b.mine(body)) == (True, False)
    assert channel(made, "lab").mine(body)


def test_a_site_brings_its_own_plugins(loads: Any) -> None:
    plugin = """
from engine.plugin import transform
from formats import hl7v2

@transform("site.upper")
def upper(message: hl7v2.Message, *, field: str) -> hl7v2.Message:
    return message.set(field, (message.get(field) or "").upper())
"""
    made = loads(
        {
            "plugins/site.py": plugin,
            "channels/adt.yaml": ("store:", "pipeline: [{site.upper: {field: PID-5.1}}]\nstore:"),
        }
    )
    (step,) = channel(made, "adt").steps
    assert step(message(ORU.replace(b"DOE", b"doe"))).get("PID-5.1") == "DOE"


def test_warnings_do_not_stop(loads: Any, good: Any) -> None:
    risk = ("port: 2575", "port: 2575, host: 0.0.0.0, accept_plaintext_risk: true")
    made = loads({"channels/adt.yaml": risk, "routes.yaml": good["routes.yaml"].split("routes:")[0]})
    assert [w.split(":")[3].strip() for w in made.warnings] == ["accepted-risk", "unused-destination"]


@dataclass
class Keeps:
    file: Path


def test_a_relative_file_setting_starts_at_the_configuration(tmp_path: Path) -> None:
    assert made(Keeps, {"file": "a.pem"}, Site(tmp_path)).file == tmp_path / "a.pem"
    assert made(Keeps, {"file": "/a.pem"}, Site(tmp_path)).file == Path("/a.pem")
