"""Telling somebody: by mail (RFC 5321), by a POST of JSON. The calls block: make them from a thread."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from email.message import EmailMessage

from engine.alerts.record import Alert
from engine.alerts.settings import Mail, Webhook
from store.resource import instant

PATIENCE = 20.0
"""Seconds that a notifier has to answer."""
SIGNATURE = "chartwire-signature"


def tell(notifier: Mail | Webhook, what: str, alert: Alert) -> None:
    """Raises OSError (smtplib's and urllib's errors are such) if it was not taken."""
    if isinstance(notifier, Mail):
        _mail(notifier, what, alert)
    else:
        _post(notifier, told(what, alert))


def told(what: str, alert: Alert) -> Mapping[str, object]:
    """What a program is told."""
    return {
        "alert": alert.id, "what": what, "rule": alert.rule, "subject": alert.subject, "text": alert.text,
        "opened": instant(alert.opened), "closed": instant(alert.closed) if alert.closed else None,
    }  # fmt: skip


def _mail(to: Mail, what: str, alert: Alert) -> None:
    import smtplib
    from ssl import create_default_context

    context = create_default_context()
    if to.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(to.host, to.port, timeout=PATIENCE, context=context)
    else:
        server = smtplib.SMTP(to.host, to.port, timeout=PATIENCE)
    with server:
        if to.tls == "starttls":
            server.starttls(context=context)
        if to.username:
            server.login(to.username, str(to.password))
        server.send_message(_message(to, what, alert))


def _message(to: Mail, what: str, alert: Alert) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = to.from_, ", ".join(to.to)
    message["Subject"] = f"[Chartwire] {what} {alert.rule}: {alert.subject}"
    since = f"open since {instant(alert.opened)}"
    over = "it is over" if what == "CLOSED" else f"alert {alert.id}, {since}; `chartwire alerts` shows it"
    message.set_content(f"{alert.subject}: {alert.text}\n\n{over}\n")
    return message


def _post(to: Webhook, content: Mapping[str, object]) -> None:
    from urllib.request import Request, urlopen

    body = json.dumps(content).encode()
    headers = {"content-type": "application/json"}
    if to.secret:
        signature = hmac.new(str(to.secret).encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={signature}"
    with urlopen(Request(to.url, body, headers), timeout=PATIENCE):
        pass
