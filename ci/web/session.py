"""Who is signed in, kept in a signed cookie, and the marks that tie forms to it.

The cookie names the token that was signed in with and does not hold it; whether that token is still in force is asked
of the store at each request, so revoking it ends every session at once.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, Signer, URLSafeTimedSerializer

LIFE_S = 12 * 3600  # a working day; then the token is asked for again


@dataclass(frozen=True, slots=True)
class Session:
    """One browser."""

    id: str  # random; what its forms are tied to
    token: str  # name of the token signed in with; "" before that


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

    def begin(self, token: str = "") -> Session:
        """A new session; signing in takes a new one, so that nobody can have planted its id."""
        return Session(secrets.token_urlsafe(16), token)

    def dump(self, session: Session) -> str:
        """The cookie's value."""
        return str(self._cookies.dumps([session.id, session.token]))

    def load(self, value: str | None) -> Session | None:
        """The session of a cookie; None where there is none, or it is forged or too old."""
        if not value:
            return None
        try:
            told = self._cookies.loads(value, max_age=LIFE_S)
        except BadData:
            return None
        return Session(*map(str, told)) if isinstance(told, list) and len(told) == 2 else None

    def mark(self, session: Session) -> str:
        """What a form of this session carries."""
        return self._forms.get_signature(session.id).decode()

    def marked(self, session: Session, mark: str) -> bool:
        """Whether a form came out of a page of this session."""
        return mark.isascii() and self._forms.verify_signature(session.id, mark)
