"""Who asks: API keys and the checks of a signed request, over the very bytes that came.

    REST   HMAC-SHA256(secret, timestamp + key + recv_window + query string or body)
    WS     HMAC-SHA256(secret, "GET/realtime" + expires)

A request counts if `server − recv_window ≤ timestamp < server + 1000`, in ms: a clock more than a second ahead always
fails. The order of the checks is headers, key, time, signature, address, permission. RSA keys are not handled.
Secrets appear in no repr, no error and no log; the signature that was expected is never said either.
Source: Bybit v5, "Integration Guidance" and "Connect" of the WebSocket stream.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mmbot.exchange.client_text import read_whole
from mmbot.exchange.refusals import RefusedError

__all__ = ["AHEAD_MS_MAX", "ApiKey", "Keyring", "Signed", "check_window", "sign"]

AHEAD_MS_MAX = 1000
"""A timestamp this far ahead of the server's clock is refused."""
RECV_WINDOW_MS = 5000
"""What holds for a request that names no recv_window."""

TRADE_SCOPES = {"ContractTrade": ("Order", "Position"), "Spot": ("SpotTrade",)}
"""What a key that may trade is allowed, as `/v5/user/query-api` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """One key of an account. Times are ms since epoch."""

    key: str
    secret: str = field(repr=False)
    uid: int
    read_only: bool = False
    scopes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(TRADE_SCOPES))
    ips: tuple[str, ...] = ()
    """Addresses or networks that may use it; empty means any."""
    created_ms: int = 0
    expires_ms: int | None = None

    def may(self, category: str) -> bool:
        """Whether it may place orders in a category."""
        if self.read_only:
            return False
        if category == "spot":
            return "SpotTrade" in self.scopes.get("Spot", ())
        return "Order" in self.scopes.get("ContractTrade", ())

    def admits(self, address: str) -> bool:
        """Whether it may be used from an address."""
        if not self.ips:
            return True
        asked = ipaddress.ip_address(address)
        return any(asked in ipaddress.ip_network(network, strict=False) for network in self.ips)


@dataclass(frozen=True, slots=True)
class Signed:
    """What a REST request brings to prove who sent it. `payload` is the query string or the body, as it was sent."""

    key: str
    timestamp: str
    recv_window: str
    signature: str
    payload: bytes

    @property
    def origin(self) -> bytes:
        """The bytes that were signed."""
        return f"{self.timestamp}{self.key}{self.recv_window}".encode() + self.payload


def sign(secret: str, message: bytes) -> str:
    """Return the lower-case hex HMAC-SHA256 of a message."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def check_window(timestamp: int, recv_window: int, server_ms: int) -> None:
    """Refuse a timestamp that is too old, or more than a second ahead."""
    if server_ms - recv_window <= timestamp < server_ms + AHEAD_MS_MAX:
        return
    said = f"req_timestamp[{timestamp}],server_timestamp[{server_ms}],recv_window[{recv_window}]"
    raise RefusedError(10002, f"invalid request, please check your server timestamp or recv_window param. {said}")


def _proves(signature: str, secret: str, message: bytes) -> bool:
    # As bytes: text is only compared where it is ASCII. What cannot be encoded becomes "?", which is no hex digit.
    return hmac.compare_digest(sign(secret, message).encode(), signature.encode(errors="replace"))


def whole(value: object, name: str) -> int:
    """Read a whole number that clients send as a number or as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return read_whole(str(value))
    except ValueError as error:
        raise RefusedError(10001, f"params error: {name} must be a whole number of milliseconds") from error


class Keyring:
    """All keys of the venue."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = {key.key: key for key in keys}

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._keys.values())

    def find(self, key: str) -> ApiKey | None:
        """Return a key by name, without any check."""
        return self._keys.get(key)

    def add(self, key: ApiKey) -> None:
        """Let a key in. Raises ValueError for one that is known."""
        if key.key in self._keys:
            raise ValueError(f"API key {key.key!r} exists already; expected a new one")
        self._keys[key.key] = key

    def remove(self, key: str) -> bool:
        """Revoke a key; False if there is none."""
        return self._keys.pop(key, None) is not None

    def admit_rest(self, signed: Signed, server_ms: int, address: str) -> ApiKey:
        """Return the key of a request that proves itself, or raise the venue's refusal."""
        if not (signed.key and signed.timestamp and signed.signature):
            raise RefusedError(10001, "empty value: apiTimestamp[] apiKey[] apiSignature[]", http=401)
        key = self._known(signed.key, server_ms)
        window = whole(signed.recv_window, "recv_window") if signed.recv_window else RECV_WINDOW_MS
        check_window(whole(signed.timestamp, "timestamp"), window, server_ms)
        if not _proves(signed.signature, key.secret, signed.origin):
            raise RefusedError(10004, f"error sign! origin_string[{signed.origin.decode(errors='replace')}]")
        return self._at(key, address)

    def admit_socket(self, args: object, server_ms: int, address: str) -> ApiKey:
        """Return the key of a socket's `auth` request (key, expires, signature), or raise the venue's refusal."""
        if not isinstance(args, list) or len(args) != 3 or not all(isinstance(arg, str) for arg in (args[0], args[2])):
            raise RefusedError(10001, "Params Error")
        name, expires, signature = args
        until = whole(expires, "expires")
        key = self._known(name, server_ms)
        if until <= server_ms:
            raise RefusedError(10002, f"Request expired: expires[{until}],server_timestamp[{server_ms}]")
        if not _proves(signature, key.secret, f"GET/realtime{until}".encode()):
            raise RefusedError(10004, "error sign! Please check your signature generation algorithm.")
        return self._at(key, address)

    def _known(self, name: str, server_ms: int) -> ApiKey:
        key = self._keys.get(name)
        if key is None:
            raise RefusedError(10003, "API key is invalid.")
        if key.expires_ms is not None and server_ms >= key.expires_ms:
            raise RefusedError(33004, "Your api key has expired.")
        return key

    @staticmethod
    def _at(key: ApiKey, address: str) -> ApiKey:
        if not key.admits(address):
            raise RefusedError(10010, "Unmatched IP, please check your API key's bound IP addresses.")
        return key


def require_trading(key: ApiKey, category: str) -> None:
    """Refuse a key that may not place orders in a category."""
    if not key.may(category):
        raise RefusedError(10005, "Permission denied, please check your API key permissions.")
