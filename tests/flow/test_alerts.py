"""Somebody is told: once when it begins, once when it is over, through restarts and notifiers that are away."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.adapters import http_peer
from tests.adapters.mllp_peer import Said, acknowledgement, fields, receiver
from tests.adapters.smtp_peer import MailServer, mail_server
from tests.engine_process import ROOT, EngineProcess
from tests.flow.installation import Installation, Json, channel, until
from tests.flow.messages import adt

ROUTES = """
destinations:
  ward: {{mllp: {{host: 127.0.0.1, port: {port}}}, head: block}}
routes:
  - {{from: adt, to: ward}}
"""
TELLING = """
mail: {{host: 127.0.0.1, port: {mail}, tls: none, from: engine@test, to: [night@test]}}
webhook: {{url: "{hook}", secret: "${{HOOK_SECRET}}"}}
"""
QUICK = "every: 100ms\ncalm: 300ms\n"


class Bodies:
    """What the webhook was sent, whenever one looks."""

    def __init__(self, hook: http_peer.Server) -> None:
        self.hook = hook

    @property
    def said(self) -> list[Json]:
        return [request.json for request in self.hook.got]


Watched = tuple[Installation, MailServer, Bodies]


@asynccontextmanager
async def watched(directory: Path, rules: str, port: int = 1) -> AsyncIterator[Watched]:
    """An engine with these rules, the mails and the webhook's bodies."""
    async with mail_server() as mail:
        hook = http_peer.Server(lambda request: http_peer.said(200))
        await hook.start()
        telling = TELLING.format(mail=mail.port, hook=hook.url)
        files = {
            "channels/adt.yaml": channel("adt"),
            "routes.yaml": ROUTES.format(port=port),
            "alerts.yaml": f"{QUICK}{rules}{telling}",
        }
        site = Installation(directory, files)
        site.engine = EngineProcess(site.config, site.data, {"HOOK_SECRET": "a secret"})
        bodies = Bodies(hook)
        try:
            await site.start()
            yield site, mail, bodies
        finally:
            site.kill()
            await hook.stop()


async def send(site: Installation, *bodies: bytes) -> None:
    sender = await site.sender("adt")
    for body in bodies:
        assert fields(await sender.ask(body), b"MSA")[1] == "AA"
    await sender.leave()


async def listed(site: Installation) -> list[Json]:
    found: list[Json] = (await site.get("/admin/alerts"))["alerts"]
    return found


async def mails(mail: MailServer, count: int) -> list[str]:
    """The subjects, when there are so many."""

    async def enough() -> list[str]:
        return [str(m["subject"]) for m in mail.got] if len(mail.got) >= count else []

    return await until(enough)


async def test_a_feed_that_falls_silent_is_told_once_and_once_when_it_speaks(tmp_path: Path) -> None:
    async with watched(tmp_path, "silent: {adt: 1s}\n") as (site, mail, bodies):
        assert await mails(mail, 1) == ["[Chartwire] OPENED silent: channel adt"]
        site.kill()
        await site.start()
        shown = await site.command("alerts")
        assert shown.returncode == 1
        assert "nothing came for" in shown.stdout

        async def spoken() -> bool:
            await send(site, adt(f"S{len(mail.got)}", "S"))
            mailed = any(str(m["subject"]).startswith("[Chartwire] CLOSED") for m in mail.got)
            return mailed and any(b["what"] == "CLOSED" for b in bodies.said)

        await until(spoken)
        subjects = dict.fromkeys(str(m["subject"]) for m in mail.got)  # a kill may have it told once more
        assert list(subjects) == [f"[Chartwire] {what} silent: channel adt" for what in ("OPENED", "CLOSED")]
        assert len(await listed(site)) == 1, "a restart opens nothing again"
        assert list(dict.fromkeys(b["what"] for b in bodies.said)) == ["OPENED", "CLOSED"]
        request = bodies.hook.got[0]
        signed = hmac.new(b"a secret", request.body, hashlib.sha256).hexdigest()
        assert request.headers["chartwire-signature"] == f"sha256={signed}"


async def test_a_hundred_lanes_in_trouble_are_one_alert(tmp_path: Path) -> None:
    async with (
        receiver(lambda message: acknowledgement(message, "AR")) as ward,
        watched(tmp_path, "", ward.port) as (site, mail, _),
    ):
        await send(site, *(adt(f"T{n}", f"T{n}") for n in range(100)))
        (subject,) = await mails(mail, 1)
        assert subject == "[Chartwire] OPENED stuck: destination ward"
        for n in range(100):
            await site.deliveries(f"T{n}", "HELD")
        ward.reply = acknowledgement
        why = ("--why", "repaired")
        done = await site.command("deliveries", "release", "--where", "destination=ward", *why)
        assert done.returncode == 0, done.stderr
        assert await mails(mail, 2) == [subject, "[Chartwire] CLOSED stuck: destination ward"]
        assert len(await listed(site)) == 1
        assert "EVERYMAN" not in str(mail.got[0])


async def test_one_who_cannot_be_told_is_told_when_he_is_back(tmp_path: Path) -> None:
    async with watched(tmp_path, "silent: {adt: 200ms}\n") as (site, mail, bodies):
        mail.refuses = True
        await until(lambda: _told(bodies))
        assert mail.got == []
        site.kill()
        mail.refuses = False
        await site.start()
        assert "[Chartwire] OPENED silent: channel adt" in await mails(mail, 1)


async def _told(bodies: Bodies) -> bool:
    return bool(bodies.said)


async def test_what_is_acknowledged_is_not_told_again_and_what_is_muted_not_at_all(tmp_path: Path) -> None:
    async with watched(tmp_path, "silent: {adt: 200ms}\nrepeat: 400ms\n") as (site, mail, _):
        assert (await mails(mail, 2))[1] == "[Chartwire] OPEN silent: channel adt", "a reminder"
        (alert,) = await listed(site)
        refused = await site.command("alerts", "ack", str(alert["id"]))
        assert (refused.returncode, "say why" in refused.stderr) == (1, True)
        assert (
            await site.command("alerts", "ack", str(alert["id"]), "--why", "the line is cut")
        ).returncode == 0
        shown = await site.command("alerts")
        assert (shown.returncode, "the line is cut" in shown.stdout) == (0, True), "somebody is at it"
        wanted = ("silent", "--subject", "channel adt", "--for", "1h", "--why", "works")
        done = await site.command("alerts", "mute", *wanted)
        assert done.returncode == 0, done.stderr

        async def over() -> bool:
            await send(site, adt(f"M{len(await site.messages())}", "M"))
            return (await listed(site))[0]["closed"] is not None

        await until(over)

        async def again() -> bool:
            return len(await listed(site)) == 2

        await until(again)
        subjects = [str(m["subject"]) for m in mail.got]
        assert subjects.count("[Chartwire] OPENED silent: channel adt") == 1, "not that it opened again"
        assert "[Chartwire] CLOSED silent: channel adt" not in subjects
        wrong = await site.command("alerts", "mute", "weather", "--for", "1h", "--why", "x")
        assert (wrong.returncode, "must be one of" in wrong.stderr) == (1, True)
        audited = (await site.command("audit", "list")).stdout
        assert "alerts.ack" in audited
        assert "alerts.mute" in audited


async def test_messages_that_come_to_no_good_end_and_a_full_disk_are_told(tmp_path: Path) -> None:
    rules = "errors: {share: 0.5, least: 4, within: 1h}\ndisk: 0.01\n"
    async with watched(tmp_path, rules) as (site, _, bodies):
        await send(site, *(adt(f"E{n}", f"E{n}", born="BAD" if n else "19610615") for n in range(4)))

        async def both() -> bool:
            return {b["rule"] for b in bodies.said} == {"errors", "disk"}

        await until(both)
        (text,) = [b["text"] for b in bodies.said if b["rule"] == "errors"]
        assert text == "3 of the newest 4 messages were quarantined, failed or refused"
        metrics = (await site.ask("/metrics", {})).body.decode()
        assert "chartwire_alerts_open 2.0" in metrics


async def test_a_test_tells_everybody_and_says_who_did_not_take_it(tmp_path: Path) -> None:
    async with watched(tmp_path, "") as (site, mail, _):
        assert (await site.command("alerts", "test")).returncode == 0
        assert [str(m["subject"]) for m in mail.got] == ["[Chartwire] OPENED test: alerts"]
        mail.refuses = True
        failed = await site.command("alerts", "test")
        assert failed.returncode == 1
        assert "mail: SMTPSenderRefused" in failed.stdout
        assert "webhook: taken" in failed.stdout


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("silent: {lab: 1h}\n", 'alerts.yaml:1:10: unknown-channel: no channel "lab"'),
        ("silnt: {adt: 1h}\n", 'did you mean "silent"'),
        ("every: 0s\n", "more than 0"),
        ("mail: {host: mail.example, from: a@b, to: [c@d], tls: none}\n", "starttls"),
        ("webhook: {url: 'http://example.test/x'}\n", "https"),
        ("webhook: {url: nowhere}\n", "https"),
    ],
)
async def test_what_is_wrong_in_the_file_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    site = Installation(tmp_path, {"channels/adt.yaml": channel("adt"), "alerts.yaml": text})
    command = [sys.executable, "-m", "engine.cli", "check", "--config", str(site.config)]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert told in done.stderr
    assert "alerts.yaml:1:" in done.stderr


async def test_a_partner_that_answers_late_is_told_of_and_a_sender_that_waits_for_us(tmp_path: Path) -> None:
    """Late, but in time for the delivery; and our own acknowledgements wait for a database that somebody holds."""

    async def late(message: bytes) -> Said:
        await asyncio.sleep(0.15)
        return acknowledgement(message)

    rules = "answer_latency: 100ms\nack_latency: 60s\n"
    async with receiver(late) as ward, watched(tmp_path, rules, ward.port) as (site, _, hook):
        sender = await site.sender("adt")
        for n in range(25):
            await sender.ask(adt(f"M{n}", f"P{n % 5}"))
        await sender.leave()

        async def told() -> list[Json]:
            return [said for said in hook.said if said["rule"] == "latency"]

        (said, *more) = await until(told)
        assert not more
        assert said["subject"] == "destination ward"
        seen = (await site.ask("/metrics", {})).body.decode()
        assert 'chartwire_answer_seconds{kind="channel",name="adt"}' in seen
