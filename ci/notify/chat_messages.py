"""The message of a notice in the format of each chat. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ci.notify.notice import Notice
from ci.store.states import Event

_MAX_TEXT = 1800  # characters; Discord accepts 2000
_MAX_TITLE = 200  # characters
_MAX_BYTES = 4000  # UTF-8 bytes of WeCom's Markdown; it accepts 4096

# Colors of Feishu's card headers.
_COLORS = {
    Event.PASSED: "green",
    Event.NIGHT_MENDED: "green",
    Event.FAILED: "red",
    Event.NIGHT_BROKEN: "red",
    Event.ALARM: "red",
}
_OTHER_COLOR = "orange"

# Branch names and reasons are written by strangers. These characters make links, images, mentions and HTML in the
# Markdown of DingTalk and WeCom, which document no way to escape them.
_HARMLESS = str.maketrans({"[": "［", "]": "］", "<": "＜", "*": "＊", "`": "'"})


def message(style: str, notice: Notice) -> dict[str, Any]:
    """Return the JSON body for a chat of this style, unsigned."""
    return _MESSAGES[style](notice)


def _slack(notice: Notice) -> dict[str, Any]:
    text = notice.text[:_MAX_TEXT]  # a branch may be named `<!channel>`, which would notify everybody
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _discord(notice: Notice) -> dict[str, Any]:
    return {"content": notice.text[:_MAX_TEXT], "allowed_mentions": {"parse": []}}


def _feishu(notice: Notice) -> dict[str, Any]:
    """A card. Its texts are `plain_text`, in which Feishu reads neither Markdown nor `<at id=all>`."""
    button = {"tag": "button", "text": _plain("Open the report"), "type": "primary", "url": notice.url}
    elements = [
        {"tag": "div", "text": _plain(notice.reason[:_MAX_TEXT])},
        {"tag": "action", "actions": [button]},
    ]
    header = {"title": _plain(notice.title[:_MAX_TITLE]), "template": _COLORS.get(notice.event, _OTHER_COLOR)}
    card = {"config": {"wide_screen_mode": True}, "header": header, "elements": elements}
    return {"msg_type": "interactive", "card": card}


def _plain(text: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": text}


def _dingtalk(notice: Notice) -> dict[str, Any]:
    """A card. Nobody is notified by an `@`: that needs the field `at`."""
    title, reason = _safe(notice)
    card = {
        "title": title,  # of the notification and the list of chats
        "text": f"### {title}\n\n{reason}",
        "singleTitle": "Open the report",
        "singleURL": notice.url,
    }
    return {"msgtype": "actionCard", "actionCard": card}


def _wecom(notice: Notice) -> dict[str, Any]:
    title, reason = _safe(notice)
    link = f"\n[Open the report]({notice.url})"
    text = f"**{title}**\n> {reason}".encode()[: _MAX_BYTES - len(link.encode())].decode(errors="ignore")
    return {"msgtype": "markdown", "markdown": {"content": text + link}}


def _safe(notice: Notice) -> tuple[str, str]:
    return notice.title[:_MAX_TITLE].translate(_HARMLESS), notice.reason[:_MAX_TEXT].translate(_HARMLESS)


_MESSAGES: Mapping[str, Callable[[Notice], dict[str, Any]]] = {
    "slack": _slack,
    "discord": _discord,
    "feishu": _feishu,
    "dingtalk": _dingtalk,
    "wecom": _wecom,
}
