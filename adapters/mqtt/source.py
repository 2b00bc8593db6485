"""Where messages come from over MQTT 3.1.1: a subscription that survives both ends.

Quality of service 1: the broker keeps what is not acknowledged. PUBACK goes out when the engine has the message
durably, whatever it thinks of its content; what could not be kept is not acknowledged, and the connection is made
anew, so that the broker sends it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from adapters import tls
from engine.plugin import Intake, Ready, source
from engine.settings import Seconds, Secret, Size

_NONE = Secret()


@source("mqtt")
@dataclass(frozen=True)
class MqttSource:
    """Subscribes to topics of a broker and acknowledges each message when the engine has it.

    The session is persistent: what is published while the engine is down waits at the broker, under `client_id`.
    The message's key is its topic: the same bytes on the same topic again are a redelivery, so a reading must hold
    its own time. Retained messages are taken like others. How many may be in hand at a time is the broker's to say
    (Mosquitto: max_inflight_messages).
    """

    host: Annotated[str, "where the broker is"]
    topics: Annotated[tuple[str, ...], "what to subscribe to: ward/+/vitals"]
    client_id: Annotated[str, "under which the broker keeps our session: no two may have the same"]
    port: Annotated[int, "its TCP port"] = 1883
    username: Annotated[str, "who we are, if the broker asks"] = ""
    password: Annotated[Secret, "and how we prove it"] = _NONE
    keepalive: Annotated[Seconds, "how soon a dead connection is noticed"] = 30.0
    max_payload: Annotated[Size, "the longest message taken; of a longer one the beginning is kept"] = 1 << 20
    tls: Annotated[bool, "encrypt, and check the broker's certificate"] = False
    ca: Annotated[Path | None, "PEM file: the authority that the broker's certificate must be of"] = None
    certificate: Annotated[Path | None, "PEM file with our certificate chain"] = None
    key: Annotated[Path | None, "PEM file with its private key, if that is not in the same file"] = None
    accept_plaintext_risk: Annotated[
        str, "a sentence that names the risk of connecting off loopback without TLS"
    ] = ""

    def address(self) -> str:
        """The session: two sources may not have the same."""
        return f"mqtt://{self.host}:{self.port}/{self.client_id}"

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = tls.problems(self)
        if not self.topics or not self.client_id:
            found.append(
                "topics and client_id are needed: without a name there is no session to come back to"
            )
        return found

    def risks(self) -> list[str]:
        """What was accepted by name; listed at every start."""
        return [f"plaintext to {self.address()}: {self.accept_plaintext_risk}"] if tls.exposed(self) else []

    async def run(self, intake: Intake, ready: Ready) -> None:
        """Take messages until cancelled, then acknowledge what is in hand. A broker that is away is waited for."""
        if found := self.problems():
            raise ValueError("; ".join(found))
        from adapters.mqtt.session import Session

        session = Session(self, intake, ready)
        try:
            await session.run()
        except asyncio.CancelledError:
            await session.finish()
            raise
        finally:
            session.close()
