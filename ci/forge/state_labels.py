"""The state of a check as a label of a pull request, for forges whose API takes no commit status. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ci.forge.protocol import Check, Conclusion

WAITING = "npu-farm-waiting"
PASSED = "npu-farm-passed"
# GitCode allows 2 to 20 characters.
_LABELS = {
    Conclusion.SUCCESS: PASSED,
    Conclusion.FAILURE: "npu-farm-failed",
    Conclusion.ACTION_REQUIRED: "npu-farm-errored",
    Conclusion.CANCELLED: "npu-farm-cancelled",
}
# Label → its colour, RGB in hexadecimal.
COLOURS = {
    WAITING: "8a6d3b",
    PASSED: "1a7f37",
    "npu-farm-failed": "cf222e",
    "npu-farm-errored": "9a6700",
    "npu-farm-cancelled": "57606a",
}


def label_of(check: Check) -> str:
    """Return the one label of ours that a pull request has while its head's check says this."""
    return WAITING if check.conclusion is None else _LABELS[check.conclusion]


def outdated(present: Iterable[str], label: str) -> list[str]:
    """Return which labels of ours have to go before `label` comes; nobody else's are among them."""
    return [each for each in present if each in COLOURS and each != label]
