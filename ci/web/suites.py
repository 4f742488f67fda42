"""Suite profiles: a page to write one, and to see what it reads in a log. Nothing of it is kept, and nothing is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from ci.web.auth.access import Reader, SessionsHere, SignInNeededError, Viewer, require_mark
from ci.web.log_readings import BusyError, LogReadings
from ci.web.pages import drawn, language_of, render
from farm.harness.log_reading import MOST_CPU_S, LogQuestion, LogReading
from kernel.errors import UnknownNameError
from kernel.harness import profiles

router = APIRouter(prefix="/suites")

MOST_PROFILE_BYTES, MOST_LOG_BYTES = 64 << 10, 1 << 20
_MOST_BODY_BYTES = 3 * (MOST_PROFILE_BYTES + MOST_LOG_BYTES) + 4096  # a form may take three bytes for one
_MOST_FIELDS = 8
_EXIT_CODES = range(-64, 256)


@dataclass(frozen=True, slots=True)
class TriedProfile:
    """What the form holds."""

    profile: str = ""
    log: str = ""
    exit_code: str = "0"
    file: str = ""
    mark: str = ""

    def question(self) -> LogQuestion:
        """Return what is asked. Raises `ValueError` with what is too long or wrong."""
        for name, text, most in (("profile", self.profile, MOST_PROFILE_BYTES), ("log", self.log, MOST_LOG_BYTES)):
            if (size := len(text.encode(errors="replace"))) > most:
                raise ValueError(f"the {name} has {size:,} bytes; at most {most:,} are read, so leave a part of it out")
        code = self.exit_code.strip() or "0"
        if not code.removeprefix("-").isdecimal() or not code.isascii() or int(code[:9]) not in _EXIT_CODES:
            raise ValueError(f"'{code[:20]}' is not an exit code; give a number from -64 to 255")
        return LogQuestion(profile=self.profile, log=self.log, exit_code=int(code), file=self.file.strip()[:1000])


def _member(who: Reader) -> Viewer:
    """Somebody who is known: an answer costs a process, so it is not for everybody where reading is."""
    if not who.signed_in:
        raise SignInNeededError
    return who


Member = Annotated[Viewer, Depends(_member)]


async def _submitted(request: Request, _who: Member) -> TriedProfile:
    """Return the form, which is given up as soon as it is longer than may be."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BODY_BYTES:
            raise HTTPException(413, f"the form has more than {_MOST_BODY_BYTES:,} bytes; leave a part of the log out")
    try:
        fields = parse_qs(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(422, f"the form has more than {_MOST_FIELDS} fields") from error
    known = {name: values[-1] for name, values in fields.items() if name in TriedProfile.__dataclass_fields__}
    return TriedProfile(**known)


@router.get("")
def suites(
    request: Request, who: Member, profile: Annotated[str, Query(max_length=100, pattern=r"^[a-z0-9._-]*$")] = ""
) -> Response:
    """The page, with the text of an included profile where one is named."""
    if profile and profile not in profiles.names():
        raise HTTPException(404, str(UnknownNameError("profile", profile, profiles.names())))
    shown = TriedProfile(profile=profiles.text_of(profile) if profile else "")
    return render(request, "suites.html", who, **_around(shown), **_answer())


@router.post("")
def tried(
    request: Request, who: Member, sessions: SessionsHere, form: Annotated[TriedProfile, Depends(_submitted)]
) -> Response:
    """What the profile reads in the log: the page, or for its script the part with the answer alone."""
    require_mark(who, sessions, form.mark)
    status, answer = _asked(request.app.state.readings, form)
    if request.headers.get("x-farm-live"):
        return Response(
            drawn("suite_reading.html", language_of(request), **answer).text, status, {"X-Farm-Part": "1"}, "text/html"
        )
    return render(request, "suites.html", who, status, **_around(form), **answer)


def _asked(readings: LogReadings, form: TriedProfile) -> tuple[int, dict[str, Any]]:
    """Return the status and what the part with the answer shows."""
    try:
        asked = form.question()
    except ValueError as error:
        return 422, _answer(refused=str(error))
    try:
        return 200, _answer(readings.ask(asked))
    except BusyError:
        return 503, _answer(refused="the service reads other logs at the moment; try again")


def _answer(reading: LogReading | None = None, refused: str = "") -> dict[str, Any]:
    return {"reading": reading, "refused": refused}


def _around(form: TriedProfile) -> dict[str, Any]:
    """What the page shows besides the answer."""
    sizes = {"most_profile": MOST_PROFILE_BYTES >> 10, "most_log": MOST_LOG_BYTES >> 20, "most_s": MOST_CPU_S}
    return {"form": form, "included": profiles.names(), **sizes}
