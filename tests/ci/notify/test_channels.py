"""Notices, to real servers on this machine: what arrives, what is tried again, and what nobody gets to see."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from githubkit.webhooks import verify
from pydantic import SecretStr
from sqlalchemy import Engine, select, update
from starlette.responses import PlainTextResponse

from ci.config.notify import EmailNotify, WebhookNotify
from ci.config.settings import Config, load
from ci.errors import ChannelRefusedError, ChannelUnavailableError, ConfigError
from ci.notify.mail import EmailChannel
from ci.notify.notice import STALE_S, Notice
from ci.notify.open import open_channels
from ci.notify.web import WebhookChannel
from ci.outbox import outbox
from ci.outbox.sender import Sender
from ci.store.engine import open_database
from ci.store.states import Event
from ci.store.tables import OUTBOX
from farm import timestamps
from farm.store.engine import transaction
from tests.ci.configuration import ENVIRONMENT, TEXT
from tests.ci.notify.receiver import NOTICE, Receiver
from tests.fakes.smtp import Mailbox, mail_server

pytestmark = pytest.mark.service

SECRET = "a secret that both sides know"
PASSWORD = "the password of the mail server"


def webhook(url: str) -> WebhookChannel:
    told: dict[str, Any] = {"name": "w", "events": [Event.FAILED], "url": SecretStr(url), "secret": SecretStr(SECRET)}
    return WebhookChannel(WebhookNotify.model_construct(**told, kind="webhook", repositories=[]), timeout_s=5)


def mail(box: Mailbox, **changes: Any) -> EmailChannel:
    told: dict[str, Any] = {"name": "m", "events": [Event.FAILED], "host": "127.0.0.1", "port": box.port}
    told |= {"security": "none", "sender": "farm@example.org", "to": ["ann@example.org", "bob@example.org"]}
    told |= {"username": "", "password": None, "kind": "email", "repositories": [], **changes}
    return EmailChannel(EmailNotify.model_construct(**told), timeout_s=5)


def test_a_webhook_is_signed_so_that_an_independent_library_believes_it(receiver: Receiver) -> None:
    asyncio.run(webhook(receiver.url).tell(NOTICE))

    [(headers, body)] = receiver.got
    assert verify(SECRET, body, headers["x-farm-signature-256"])
    assert not verify("another", body, headers["x-farm-signature-256"])
    assert (headers["x-farm-event"], headers["x-farm-delivery"]) == ("failed", "0123-failed")
    assert Notice.model_validate_json(body) == NOTICE


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503])
def test_what_may_get_through_later_is_told_from_what_never_will(receiver: Receiver, status: int) -> None:
    receiver.answers = [PlainTextResponse("no", status, {"retry-after": "37"}), PlainTextResponse("no", 400)]

    with pytest.raises(ChannelUnavailableError) as caught:
        asyncio.run(webhook(receiver.url).tell(NOTICE))
    assert caught.value.retry_after_s == 37
    with pytest.raises(ChannelRefusedError):
        asyncio.run(webhook(receiver.url).tell(NOTICE))


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [PlainTextResponse("", 302, {"location": receiver.url})]

    with pytest.raises(ChannelRefusedError):
        asyncio.run(webhook(receiver.url).tell(NOTICE))
    assert len(receiver.got) == 1


# E-mail


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mail_server(Mailbox()) as mailbox:
        yield mailbox


def test_a_mail_has_its_reason_and_its_link_and_is_known_when_it_comes_twice(box: Mailbox) -> None:
    for _ in range(2):
        asyncio.run(mail(box).tell(NOTICE))

    first, second = box.messages
    assert first["Subject"] == "[octo-org/kernels] failed: octo-org/kernels pull/7"
    assert first["To"] == "ann@example.org, bob@example.org"
    assert first["Message-ID"] == second["Message-ID"]
    assert "1.2 % > 0.5 %" in first.get_content()
    assert box.recipients[:2] == ["ann@example.org", "bob@example.org"]


def test_a_branch_named_with_line_breaks_adds_no_header(box: Mailbox) -> None:
    asyncio.run(mail(box).tell(NOTICE.model_copy(update={"title": "failed: x\r\nBcc: everybody@example.org"})))

    assert box.messages[0]["Bcc"] is None
    assert "everybody@example.org" not in box.recipients


@pytest.mark.parametrize(
    ("verb", "answer", "error"),
    [
        ("MAIL", "451 later", ChannelUnavailableError),
        ("MAIL", "550 never", ChannelRefusedError),
        ("DATA", "452 full", ChannelUnavailableError),
        ("EHLO", "421 busy", ChannelUnavailableError),
    ],
)
def test_a_server_that_may_take_it_later_is_asked_again(
    box: Mailbox, verb: str, answer: str, error: type[Exception]
) -> None:
    box.answers = {verb: answer, "HELO": answer}

    with pytest.raises(error):
        asyncio.run(mail(box).tell(NOTICE))
    box.answers = {}
    asyncio.run(mail(box).tell(NOTICE))
    assert len(box.messages) == 1


@contextmanager
def certified(directory: Path) -> Iterator[tuple[Mailbox, Path]]:
    """A mail server with a certificate of its own for 127.0.0.1, and that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = (
        builder.serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    )
    place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(place, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (directory / "cert.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    with mail_server(Mailbox(tls=context, password=PASSWORD)) as mailbox:
        yield mailbox, directory / "cert.pem"


def test_a_password_goes_to_a_server_that_is_trusted_and_encrypts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = {"security": "starttls", "username": "farm", "password": SecretStr(PASSWORD)}
    with certified(tmp_path) as (mailbox, certificate):
        with pytest.raises(ChannelUnavailableError, match="SSLCertVerificationError"):
            asyncio.run(mail(mailbox, **signed_in).tell(NOTICE))
        assert mailbox.messages == []

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        asyncio.run(mail(mailbox, **signed_in).tell(NOTICE))
        with pytest.raises(ChannelUnavailableError, match="password") as caught:
            asyncio.run(mail(mailbox, **signed_in | {"password": SecretStr("an old password")}).tell(NOTICE))

    assert mailbox.secured == [True]
    assert "an old password" not in str(caught.value)


# From the outbox


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'store.sqlite'}", print)


def post(engine: Engine, notice: Notice = NOTICE, addressee: str = "notify/w") -> None:
    with transaction(engine, "written", write=True) as connection:
        outbox.post(connection, f"notice/w/{notice.id}", addressee, notice.repository, notice)


def fresh(**changes: Any) -> Notice:
    return NOTICE.model_copy(update={"at": timestamps.as_text(timestamps.utc_now()), **changes})


def row(engine: Engine) -> Any:
    with transaction(engine, "read") as connection:
        return connection.execute(select(OUTBOX).order_by(OUTBOX.c.sequence.desc())).first()


def test_a_notice_waits_in_the_outbox_until_the_receiver_is_back(engine: Engine, receiver: Receiver) -> None:
    receiver.answers = [PlainTextResponse("no", 503)]
    sender = Sender(engine, {}, {"notify/w": webhook(receiver.url)})
    post(engine, fresh())

    asyncio.run(sender.send_due())
    assert row(engine).state == "pending"
    with transaction(engine, "written", write=True) as connection:
        connection.execute(update(OUTBOX).values(next_at=timestamps.as_text(timestamps.utc_now())))
    asyncio.run(sender.send_due())

    assert row(engine).state == "sent"
    ids = [headers["x-farm-delivery"] for headers, _ in receiver.got]
    assert ids == ["0123-failed"] * 2  # the receiver can tell that it is the same


def test_old_news_and_news_for_nobody_are_given_up(engine: Engine, receiver: Receiver) -> None:
    sender = Sender(engine, {}, {"notify/w": webhook(receiver.url)})
    post(engine, fresh(at=timestamps.as_text(timestamps.utc_now() - timedelta(seconds=STALE_S + 1))))
    asyncio.run(sender.send_due())
    assert (row(engine).state, receiver.got) == ("refused", [])

    post(engine, fresh(id="other"), addressee="notify/gone")
    asyncio.run(sender.send_due())
    assert "notify/gone" in row(engine).error


# farm.toml

CHANNELS = """
[[notify]]
name = "ours"
kind = "webhook"
events = ["failed", "errored"]
url = { env = "HOOK_URL" }
secret = { env = "SECRET" }

[[notify]]
name = "team"
kind = "chat"
events = ["night-broken", "night-mended"]
repositories = ["octo-org/kernels"]
url = { env = "HOOK_URL" }

[[notify]]
name = "mail"
kind = "email"
events = ["held"]
host = "mail.example.org"
username = "farm"
password = { env = "PASSWORD" }
sender = "farm@example.org"
to = ["ann@example.org"]
"""
HOOK_URL = "https://hooks.example.org/T0/secret-part"


def configured(directory: Path, text: str, url: str = HOOK_URL) -> Config:
    path = directory / "farm.toml"
    path.write_text(TEXT.format(api_url="https://api.github.com", at_once=0) + text)
    return load(path, {**ENVIRONMENT, "HOOK_URL": url, "PASSWORD": PASSWORD})


def test_every_channel_hears_of_what_it_chose_and_of_nothing_else(tmp_path: Path) -> None:
    config = configured(tmp_path, CHANNELS)

    told = {event: [each.name for each in config.notify if each.wants(event, "Octo-Org/kernels")] for event in Event}
    assert told[Event.FAILED] == told[Event.ERRORED] == ["ours"]
    assert told[Event.NIGHT_BROKEN] == ["team"]
    assert told[Event.PASSED] == []
    assert not config.notify[1].wants(Event.NIGHT_BROKEN, "Codertocat/Hello-World")
    assert sorted(open_channels(config)) == ["notify/mail", "notify/ours", "notify/team"]
    assert configured(tmp_path, "").notify == []


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ('["failed", "errored"]', "[]", "events"),
        ('["failed", "errored"]', '["fialed"]', "night-broken"),
        ('kind = "chat"', 'kind = "carrier-pigeon"', "webhook"),
        ('name = "team"', 'name = "ours"', "another [[notify]]"),
        ('url = { env = "HOOK_URL" }\nsecret', f'url = "{HOOK_URL}"\nsecret', "never write it here"),
        ('host = "mail.example.org"', 'host = "mail.example.org"\nsecurity = "none"', "readably"),
        ('username = "farm"\n', "", "username"),
        ('to = ["ann@example.org"]', 'to = ["ann@example.org\\nBcc: eve@example.org"]', "to.0"),
    ],
)
def test_a_wrong_channel_is_refused_and_no_secret_shown(tmp_path: Path, right: str, wrong: str, words: str) -> None:
    assert right in CHANNELS
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, CHANNELS.replace(right, wrong))

    assert words in str(caught.value)
    assert "secret-part" not in str(caught.value)


def test_a_message_is_not_sent_readably_over_the_network(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not an https:// address") as caught:
        configured(tmp_path, CHANNELS, "http://hooks.example.org/T0/secret-part")

    assert "secret-part" not in str(caught.value)


def test_nothing_shows_a_secret_of_a_channel(tmp_path: Path) -> None:
    config = configured(tmp_path, CHANNELS)

    assert not [secret for secret in (HOOK_URL, PASSWORD, ENVIRONMENT["SECRET"]) if secret in repr(config.notify)]
    assert {HOOK_URL, PASSWORD} <= {secret.get_secret_value() for secret in config.secrets()}, "kept from runs"
