"""What a browser takes along to a forge and has to bring back, so that nobody finishes what another one began."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from itsdangerous import BadData, Signer, URLSafeTimedSerializer

from ci.web.auth.session import BrowserSession

LIFE_S = 600  # as long as GitHub's codes live
_LONGEST_PLACE = 500  # characters; the state goes through addresses


@dataclass(frozen=True, slots=True)
class Errand:
    """One way to a forge and back."""

    state: str  # signed; names the session, the forge and the page that was wanted
    verifier: str  # PKCE's, which never leaves this service before the code is exchanged
    place: str  # path of the page that was wanted


class Errands:
    """Begins and ends errands with one key. Nothing is kept: the verifier follows from the key and the state.

    A sign-in begins a new session, so a state is good for one at most.
    """

    def __init__(self, key: bytes) -> None:
        digest = hashlib.sha256
        self._states = URLSafeTimedSerializer(key, salt="farm.errand", signer_kwargs={"digest_method": digest})
        self._verifiers = Signer(key, salt="farm.verifier", digest_method=digest)

    def begin(self, session: BrowserSession, forge: str, place: str) -> Errand:
        """A new one."""
        kept = place if len(place) <= _LONGEST_PLACE else "/"
        return self._errand(str(self._states.dumps([session.id, forge, kept, secrets.token_urlsafe(16)])), kept)

    def end(self, state: str, session: BrowserSession | None, forge: str) -> Errand | None:
        """The errand of that state; None where it is forged, too old, or of another session or forge."""
        try:
            told = self._states.loads(state, max_age=LIFE_S)
        except BadData:
            return None
        if session is None or not isinstance(told, list) or told[:2] != [session.id, forge] or len(told) != 4:
            return None
        return self._errand(state, str(told[2]))

    def _errand(self, state: str, place: str) -> Errand:
        return Errand(state, self._verifiers.get_signature(state).decode(), place)
