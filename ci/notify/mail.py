"""Notices by e-mail."""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage

from ci.config.notify import EmailNotify
from ci.errors import ChannelRefusedError, ChannelUnavailableError
from ci.notify.notice import Notice

_TIMEOUT_S = 30.0
_LONGEST_SUBJECT = 200  # characters


class EmailChannel:
    """Sends the notice through one SMTP server. Its `Message-ID` is the notice's, so a second copy is known as one."""

    def __init__(self, section: EmailNotify, timeout_s: float = _TIMEOUT_S) -> None:
        self._section = section
        self._timeout_s = timeout_s

    async def tell(self, notice: Notice) -> None:
        """Send it to everybody or, where the server refuses the message, to nobody."""
        await asyncio.to_thread(self._send, message(self._section, notice))

    def _send(self, told: EmailMessage) -> None:
        try:
            with self._connected() as server:
                refused = server.send_message(told)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _error(max(codes), "no recipient is accepted") from None
        except smtplib.SMTPAuthenticationError as error:
            raise ChannelUnavailableError(f"the server does not accept the password: {error.smtp_code}") from None
        except smtplib.SMTPResponseException as error:
            raise _error(error.smtp_code, type(error).__name__) from None
        except (smtplib.SMTPException, OSError) as error:  # ssl's errors are OSErrors
            raise ChannelUnavailableError(type(error).__name__) from None
        if refused:
            raise ChannelRefusedError(f"sent, but {len(refused)} of the recipients were refused")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        section, trusted = self._section, ssl.create_default_context()
        if section.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                section.host, section.port, timeout=self._timeout_s, context=trusted
            )
        else:
            server = smtplib.SMTP(section.host, section.port, timeout=self._timeout_s)
        with server:
            if section.security == "starttls":
                server.starttls(context=trusted)
            if section.password is not None:
                server.login(section.username, section.password.get_secret_value())
            yield server


def message(section: EmailNotify, notice: Notice) -> EmailMessage:
    """`notice` as an e-mail, in plain text: no mail program makes anything of what a stranger named a branch."""
    told = EmailMessage()
    told["From"] = section.sender
    told["To"] = ", ".join(section.to)
    told["Subject"] = " ".join(f"[{notice.repository}] {notice.title}".split())[:_LONGEST_SUBJECT]
    told["Date"] = datetime.fromisoformat(notice.at)
    told["Message-ID"] = f"<{notice.id}@{section.sender.rpartition('@')[2]}>"
    told["Auto-Submitted"] = "auto-generated"  # no holiday answers to it
    told.set_content(notice.text + "\n")
    return told


def _error(code: int, what: str) -> ChannelUnavailableError | ChannelRefusedError:
    """Codes of 400 to 499 may pass, those above will not (RFC 5321, 4.2.1)."""
    return ChannelUnavailableError(f"{what}: {code}") if code < 500 else ChannelRefusedError(f"{what}: {code}")
