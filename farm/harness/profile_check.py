"""What can be wrong with a profile for one run, found before anything is started."""

from __future__ import annotations

import difflib

from farm.errors import UsageError
from jobs.faults import diagnosis
from kernel.harness.profile import Profile, ProfileError

_MARGIN_S = 30.0  # a trial's limit must leave the suite's own room: to end the tree, and to read what it left


def check(profile: Profile, platform: str, trial_s: float) -> None:
    """Raise `UsageError` or `ProfileError` for what is wrong before anything is started."""
    if platform not in profile.platforms:
        known = ", ".join(sorted(profile.platforms))
        raise UsageError(f"harness {profile.name} has no platform '{platform}'; its platforms: {known}")
    require_known_kinds(profile)
    own_s = profile.longest_s(platform)
    if trial_s < own_s + profile.limits.stop_seconds + _MARGIN_S:
        told = f"--trial-timeout {trial_s:g} leaves no room for the harness's own {own_s:g} s and {_MARGIN_S:g} s more"
        raise UsageError(f"{told}; raise it, or lower limits.seconds in the profile")


def require_known_kinds(profile: Profile) -> None:
    """Raise `ProfileError` for a signature whose kind the table of faults does not have."""
    known = diagnosis.kinds()
    for number, signature in enumerate(profile.signatures):
        if signature.kind != "device" and signature.kind not in known:
            named = f"signatures.{number}.kind '{signature.kind}'"
            near = difflib.get_close_matches(signature.kind, ["device", *known], n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ProfileError(profile.name, f"{named} is none of: device, {', '.join(sorted(known))}{hint}")
