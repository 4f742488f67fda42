"""The incoming webhooks of DingTalk, Feishu and WeCom, with the checks that their documentation describes.

Each refuses what the real one refuses: with status 200, and an error code in the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_HOUR_S = 3600.0


@dataclass
class Chats:
    """One robot of each chat. `secret` is that of DingTalk's and of Feishu's; "" where they check no signature."""

    secret: str = ""
    token: str = "the-token-of-the-robot"
    shown: list[dict[str, Any]] = field(default_factory=list)  # what people in the chat see

    def app(self) -> Starlette:
        """The three robots at the paths of the real ones."""
        return Starlette(
            routes=[
                Route("/robot/send", self._dingtalk, methods=["POST"]),
                Route("/open-apis/bot/v2/hook/{token}", self._feishu, methods=["POST"]),
                Route("/cgi-bin/webhook/send", self._wecom, methods=["POST"]),
            ]
        )

    def address(self, style: str, url: str) -> str:
        """The address that the chat gives to its robot's owner."""
        paths = {
            "dingtalk": f"/robot/send?access_token={self.token}",
            "feishu": f"/open-apis/bot/v2/hook/{self.token}",
            "wecom": f"/cgi-bin/webhook/send?key={self.token}",
        }
        return url + paths[style]

    async def _dingtalk(self, request: Request) -> Response:
        query, body = request.query_params, await request.json()
        if query.get("access_token") != self.token:
            return _failed("errcode", 300005, "errmsg")
        if self.secret:
            timestamp = query.get("timestamp", "")
            expected = _mac(self.secret, f"{timestamp}\n{self.secret}")
            if query.get("sign") != expected or not _recent(timestamp, 1000):
                return _failed("errcode", 310000, "errmsg")
        card = body.get("actionCard", {})
        complete = all(isinstance(card.get(key), str) and card[key] for key in ("title", "text"))
        if body.get("msgtype") != "actionCard" or not complete or not (card["singleTitle"] and card["singleURL"]):
            return _failed("errcode", 40035, "errmsg")
        self.shown.append(card)
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def _feishu(self, request: Request) -> Response:
        body = await request.json()
        if request.path_params["token"] != self.token:
            return _failed("code", 19001, "msg")
        if self.secret:
            timestamp = body.get("timestamp")
            expected = _mac(f"{timestamp}\n{self.secret}", "")
            if not isinstance(timestamp, str) or body.get("sign") != expected or not _recent(timestamp, 1):
                return _failed("code", 19021, "msg")
        card = body.get("card", {})
        if body.get("msg_type") != "interactive" or {"header", "elements"} - set(card):
            return _failed("code", 9499, "msg")
        self.shown.append(card)
        return JSONResponse({"code": 0, "msg": "success", "data": {}, "StatusCode": 0, "StatusMessage": "success"})

    async def _wecom(self, request: Request) -> Response:
        body = await request.json()
        if request.query_params.get("key") != self.token:
            return _failed("errcode", 93000, "errmsg")
        text = body.get("markdown", {}).get("content", "")
        if body.get("msgtype") != "markdown" or not text or len(text.encode()) > 4096:
            return _failed("errcode", 40058, "errmsg")
        self.shown.append(body["markdown"])
        return JSONResponse({"errcode": 0, "errmsg": "ok"})


def _failed(code_name: str, code: int, words_name: str) -> Response:
    return JSONResponse({code_name: code, words_name: "refused"})


def _mac(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def _recent(timestamp: str, per_second: int) -> bool:
    return timestamp.isdecimal() and abs(int(timestamp) / per_second - time.time()) < _HOUR_S
