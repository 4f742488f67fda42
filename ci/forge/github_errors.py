"""What went wrong at GitHub, in the gate's two words: it may work later, or it never will."""

from __future__ import annotations

from githubkit.exception import (
    AuthCredentialError,
    GitHubException,
    RateLimitExceeded,
    RequestError,
    RequestFailed,
    RequestTimeout,
)

from ci.errors import ForgeError, ForgeRefusedError, ForgeUnavailableError

# The credential is bad or may not do this; GitHub answers so until someone mends it, and then the same request works.
_MENDABLE = (401, 403)


def translated(error: GitHubException, doing: str) -> ForgeError:
    """Our error for githubkit's. No message holds a credential: what was sent is named by method and path alone."""
    if isinstance(error, RateLimitExceeded):
        return ForgeUnavailableError(f"{doing}: rate limit", error.retry_after.total_seconds())
    if isinstance(error, RequestFailed):
        status = error.response.status_code
        message = f"{doing}: {_message(error)}"
        if status in _MENDABLE or status in (408, 429) or status >= 500:
            return ForgeUnavailableError(f"{message} (HTTP {status})")
        return ForgeRefusedError(status, message)
    if isinstance(error, RequestTimeout):
        return ForgeUnavailableError(f"{doing}: no answer in time")
    if isinstance(error, RequestError):  # of httpx, or of signing in on the way
        if isinstance(error.exc, GitHubException):
            return translated(error.exc, doing)
        return ForgeUnavailableError(f"{doing}: {type(error.exc).__name__}")
    if isinstance(error, AuthCredentialError):
        return ForgeUnavailableError(f"{doing}: the credentials cannot be used")
    return ForgeUnavailableError(f"{doing}: {type(error).__name__}")


def _message(error: RequestFailed) -> str:
    try:
        said = error.response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return "refused"
    return str(said).splitlines()[0][:200] if said else "refused"
