"""The envelope around every REST answer, and the headers beside it."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from mmbot.exchange.wire_text import dump

__all__ = ["answer", "envelope", "parameters", "raw_query"]


def envelope(
    result: object, now_ms: int, *, code: int = 0, message: str = "OK", extra: object | None = None
) -> dict[str, Any]:
    """`retCode`, `retMsg`, `result`, `retExtInfo`, `time`."""
    return {
        "retCode": code,
        "retMsg": message,
        "result": result,
        "retExtInfo": {} if extra is None else extra,
        "time": now_ms,
    }


def answer(body: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An HTTP answer with the venue's headers. Business errors have status 200."""
    fixed = {"Server": "Openresty", "Timenow": str(body["time"]), "Ret_code": str(body["retCode"])}
    return web.Response(
        body=dump(body), status=status, content_type="application/json", headers={**fixed, **(headers or {})}
    )


def raw_query(request: web.BaseRequest) -> bytes:
    """What follows the `?`, exactly as it was sent: signatures are made over these bytes."""
    return request.raw_path.partition("?")[2].encode(errors="surrogateescape")


def parameters(request: web.BaseRequest) -> dict[str, str]:
    """The query's parameters; an empty value counts as not given, the last of a repeated name counts."""
    pairs = (pair.partition("=") for pair in raw_query(request).decode(errors="replace").split("&") if pair)
    named = {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}
    return {name: value for name, value in named.items() if value}
