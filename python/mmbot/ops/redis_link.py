"""The link to Redis: where it is, and what may be said about that.

Redis is an extra, and holds nothing of record: losing it loses no fact about our orders. Its URL may hold a password,
so it comes from `REDIS_URL` or an option, and only `shown_url` of it is ever printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

__all__ = ["LOCAL", "RedisMissingError", "connected", "redis_errors", "redis_url", "shown_url"]

LOCAL: Final = "redis://127.0.0.1:6379/0"
VARIABLE: Final = "REDIS_URL"
TIMEOUT_S: Final = 5.0


class RedisMissingError(ValueError):
    """Redis was asked for and its client is not installed."""


def redis_url(given: str, environ: Mapping[str, str]) -> str:
    """The URL to use: the option's, else the environment's, else this machine's."""
    return given or environ.get(VARIABLE, "") or LOCAL


def shown_url(url: str) -> str:
    """The URL without user and password. What is no URL is not shown at all."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else f"{parts.hostname}"
    except ValueError:
        return "(not a URL)"
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if parts.hostname else "(not a URL)"


def connected(url: str) -> Redis:
    """A client of the Redis at `url`; it connects when it is first used. Raises RedisMissingError, ValueError."""
    try:
        from redis.asyncio import Redis  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise RedisMissingError("the Redis client is not installed; pip install 'mmbot[redis]'") from error
    try:
        return Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S)
    except ValueError as error:
        raise ValueError(f"{shown_url(url)}: not the URL of a Redis ({error}); expected redis://HOST:PORT/0") from None


def redis_errors() -> tuple[type[Exception], ...]:
    """What the client raises, for whoever answers it without needing the extra; nothing where it is not installed."""
    try:
        from redis.exceptions import RedisError  # noqa: PLC0415  an extra
    except ModuleNotFoundError:
        return ()
    return (RedisError,)
