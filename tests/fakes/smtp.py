"""An SMTP server that keeps what it is sent, with STARTTLS and passwords; one thread a connection."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast


@dataclass
class Mailbox:
    """What a server has been sent, and how it answers."""

    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)  # of all messages
    secured: list[bool] = field(default_factory=list)  # of each message: whether it came encrypted
    password: str = ""  # the one accepted; "" for no sign-in at all
    answers: dict[str, str] = field(default_factory=dict)  # verb → what is said instead, once
    tls: ssl.SSLContext | None = None
    port: int = 0


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Talk until QUIT."""
        self._box = cast(Mailbox, self.server.mailbox)  # type: ignore[attr-defined]
        self._secure = self._signed_in = False
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            if verb in self._box.answers:
                self._say(self._box.answers.pop(verb))
            elif verb == "QUIT":
                return self._say("221 bye")
            else:
                getattr(self, f"_{verb.lower()}", self._unknown)(rest)
        return None

    def _say(self, *lines: str) -> None:
        for number, line in enumerate(lines):
            code, _, text = line.partition(" ")
            self.wfile.write(f"{code}{' ' if number == len(lines) - 1 else '-'}{text}\r\n".encode())

    def _unknown(self, rest: str) -> None:
        self._say("502 what?")

    def _ehlo(self, rest: str) -> None:
        offers = ["250 here"]
        offers += ["250 STARTTLS"] if self._box.tls and not self._secure else []
        offers += ["250 AUTH PLAIN"] if self._box.password else []
        self._say(*offers)

    def _starttls(self, rest: str) -> None:
        assert self._box.tls is not None
        self._say("220 go ahead")
        try:
            self.request = self._box.tls.wrap_socket(self.request, server_side=True)
        except ssl.SSLError:  # the other side does not trust us
            self.rfile.close()
            return
        self.rfile, self.wfile, self._secure = self.request.makefile("rb"), self.request.makefile("wb", 0), True

    def _auth(self, rest: str) -> None:
        given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[2]
        self._signed_in = given == self._box.password
        self._say("235 welcome" if self._signed_in else "535 no")

    def _mail(self, rest: str) -> None:
        allowed = self._signed_in or not self._box.password
        self._say("250 ok" if allowed else "530 sign in first")

    def _rcpt(self, rest: str) -> None:
        self._box.recipients.append(rest.partition("<")[2].partition(">")[0])
        self._say("250 ok")

    def _rset(self, rest: str) -> None:
        self._say("250 ok")

    def _data(self, rest: str) -> None:
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b"..") else line)
        told = message_from_bytes(b"".join(lines), policy=policy.default)
        self._box.messages.append(told)
        self._box.secured.append(self._secure)
        self._say("250 kept")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    mailbox: Mailbox

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


@contextmanager
def mail_server(mailbox: Mailbox) -> Iterator[Mailbox]:
    """Serve `mailbox` on a free port of this machine."""
    with _Server(("127.0.0.1", 0), _Session) as server:
        server.mailbox = mailbox
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield mailbox
        server.shutdown()
        thread.join(10)
