"""Who is signed in, kept in a signed cookie, and the marks that tie forms to it.

The cookie names the token or the account that was signed in with, and holds no secret. Whether that token is still in
force is asked of the store at each request, so revoking it ends every session at once; what the account may do is asked
of its forge (`ci.web.auth.members`).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, Signer, URLSafeTimedSerializer
from starlette.responses import Response

LIFE_S = 12 * 3600  # a working day; then the token is asked for again


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody at a forge."""

    forge: str  # name of the [forge.NAME]
    login: str

    @property
    def name(self) -> str:
        """As people read it; no token has such a name."""
        return f"{self.login}@{self.forge}"


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """One browser."""

    id: str  # random; what its forms are tied to
    token: str  # name of the token signed in with; "" before that, and of one by a forge
    account: Account | None = None  # signed in with


class Sessions:
    """Signs and checks cookies and forms with one key."""

    def __init__(self, key: bytes, secure: bool) -> None:
        """`secure`: the service is reached by https only, so browsers are to send the cookie nowhere else."""
        self.secure = secure
        # A browser takes a name with this prefix only from the very host, over https: no sibling domain can set it.
        self.cookie = "__Host-farm_session" if secure else "farm_session"
        digest = hashlib.sha256  # itsdangerous would take SHA-1
        self._cookies = URLSafeTimedSerializer(key, salt="farm.session", signer_kwargs={"digest_method": digest})
        self._forms = Signer(key, salt="farm.form", digest_method=digest)

    def begin(self, token: str = "", account: Account | None = None) -> BrowserSession:
        """A new session; signing in takes a new one, so that nobody can have planted its id."""
        return BrowserSession(secrets.token_urlsafe(16), token, account)

    def dump(self, session: BrowserSession) -> str:
        """The cookie's value."""
        account = [session.account.forge, session.account.login] if session.account else []
        return str(self._cookies.dumps([session.id, session.token, *account]))

    def load(self, value: str | None) -> BrowserSession | None:
        """The session of a cookie; None where there is none, or it is forged or too old."""
        if not value:
            return None
        try:
            told = self._cookies.loads(value, max_age=LIFE_S)
        except BadData:
            return None
        if not isinstance(told, list) or len(told) not in (2, 4):
            return None
        return BrowserSession(
            str(told[0]), str(told[1]), Account(str(told[2]), str(told[3])) if len(told) == 4 else None
        )

    def mark(self, session: BrowserSession) -> str:
        """What a form of this session carries."""
        return self._forms.get_signature(session.id).decode()

    def marked(self, session: BrowserSession, mark: str) -> bool:
        """Whether a form came out of a page of this session."""
        return mark.isascii() and self._forms.verify_signature(session.id, mark)


def keep(answer: Response, sessions: Sessions, session: BrowserSession) -> None:
    """Have the browser send `session` from now on."""
    answer.set_cookie(
        sessions.cookie,
        sessions.dump(session),
        max_age=LIFE_S,
        path="/",
        secure=sessions.secure,
        httponly=True,
        samesite="lax",
    )
