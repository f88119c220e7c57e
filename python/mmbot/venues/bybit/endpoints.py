"""Which Bybit: one word names every address, and only encrypted, verified links leave this machine.

    Endpoint.of("mainnet")                                   the exchange
    Endpoint.of("testnet")  Endpoint.of("demo")              play money; demo takes orders over REST only
    Endpoint.of("simulator", "http://127.0.0.1:8765")        `mmbot exchange`, one port for everything

An address is checked when the endpoint is made, and again before each connection together with what was negotiated:
what was changed in between is refused. Plain HTTP and WebSocket are for loopback; everything else needs TLS 1.2 or
later and a certificate that names the host.
Source: Bybit v5 documents, "Integration guidance" and "Connect".
"""

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from mmbot.venues.port import VenueError

__all__ = ["SIMULATOR_KEY", "Endpoint", "InsecureLink"]

SIMULATOR_KEY = "mmsim"
"""What every key that our simulator makes up begins with, so that none is ever sent to an exchange."""


class InsecureLink(VenueError):  # noqa: N818 (a fault of the world, beside the other answers of a venue)
    """An address or a link that would carry our requests unprotected. Nothing was sent over it."""


_WORDS = {
    "mainnet": ("https://api.bybit.com", "wss://stream.bybit.com", "wss://stream.bybit.com", True),
    "testnet": (
        "https://api-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
        "wss://stream-testnet.bybit.com",
        True,
    ),
    "demo": ("https://api-demo.bybit.com", "wss://stream.bybit.com", "wss://stream-demo.bybit.com", False),
}
_CATEGORIES = ("linear", "inverse", "spot")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Addresses of one Bybit. Make one with `Endpoint.of`.

    `trade` is None where orders can not be placed over a WebSocket. `authority` is a file with the certificate of a
    private authority, for a simulator on another machine. `trust_loopback` False asks of this machine what is asked of
    every other.
    """

    word: str
    http: str
    public_base: str
    private: str
    trade: str | None
    authority: Path | None = None
    trust_loopback: bool = True
    _sealed: tuple[str | None, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        self._check_all()
        object.__setattr__(self, "_sealed", self._addresses())

    @classmethod
    def of(
        cls, word: str, url: str | None = None, *, authority: Path | None = None, trust_loopback: bool = True
    ) -> "Endpoint":
        """The endpoint that a config word names; a simulator needs its `url`, the others have none.

        Raises InsecureLink or ValueError.
        """
        if word == "simulator":
            if url is None:
                raise ValueError('the simulator\'s address is not known; give it, as "http://127.0.0.1:PORT"')
            http, stream, private, trades = url.rstrip("/"), _as_websocket(url), _as_websocket(url), True
        elif word in _WORDS:
            if url is not None:
                raise ValueError(f"{word} has its own addresses; leave out {url!r}, or say simulator")
            http, stream, private, trades = _WORDS[word]
        else:
            raise ValueError(f"no Bybit is called {word!r}; expected one of {', '.join([*_WORDS, 'simulator'])}")
        return cls(
            word=word,
            http=http,
            public_base=f"{stream}/v5/public",
            private=f"{private}/v5/private",
            trade=f"{private}/v5/trade" if trades else None,
            authority=authority,
            trust_loopback=trust_loopback,
        )

    def public(self, category: str) -> str:
        """Address of the public streams of a category. Raises ValueError for one that is not known."""
        if category not in _CATEGORIES:
            raise ValueError(f"unknown category {category!r}; expected one of {', '.join(_CATEGORIES)}")
        return f"{self.public_base}/{category}"

    def verify(self) -> None:
        """Check again what was checked at construction, and that nothing changed since. Raises InsecureLink."""
        if self._addresses() != self._sealed:
            raise InsecureLink("an address of this endpoint was changed after it was made; make a new Endpoint instead")
        self._check_all()

    def context(self, url: str) -> ssl.SSLContext | None:
        """How to encrypt a connection to `url`; None for a plain one to this machine. Raises InsecureLink."""
        self.verify()
        if not self._check(url):
            return None
        context = ssl.create_default_context(cafile=self.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def check_link(self, url: str, negotiated: ssl.SSLObject | ssl.SSLSocket | None, peer: object) -> None:
        """Check a connection that stands: its protocol, or that it really ends on this machine. Raises InsecureLink."""
        if not self._check(url):
            address = peer[0] if isinstance(peer, tuple) and peer else None
            if not _is_loopback(str(address)):
                raise InsecureLink(f"{url}: a plain connection reached {address}, which is not this machine; use https")
            return
        version = None if negotiated is None else negotiated.version()
        if version not in ("TLSv1.2", "TLSv1.3"):
            raise InsecureLink(f"{url}: the link speaks {version or 'no TLS'}; expected TLSv1.2 or TLSv1.3")

    def _addresses(self) -> tuple[str | None, ...]:
        return (self.http, self.public_base, self.private, self.trade, str(self.authority), str(self.trust_loopback))

    def _check_all(self) -> None:
        for url, plain, secure in (
            (self.http, "http", "https"),
            (self.public_base, "ws", "wss"),
            (self.private, "ws", "wss"),
            (self.trade, "ws", "wss"),
        ):
            if url is not None:
                scheme = urlsplit(url).scheme
                if scheme not in (plain, secure):
                    raise InsecureLink(f"{url!r}: scheme {scheme!r} where {secure!r} is expected")
                self._check(url)

    def _check(self, url: str) -> bool:
        """Whether `url` is encrypted. Raises InsecureLink where it has to be, and is not."""
        parts = urlsplit(url)
        if not parts.hostname or parts.username or parts.password or parts.fragment:
            raise InsecureLink(
                f"{_shown(parts)}: an address is scheme://host[:port]/path, without a user or a fragment"
            )
        if parts.scheme in ("https", "wss"):
            return True
        if self.trust_loopback and _is_loopback(parts.hostname):
            return False
        secure = "https" if parts.scheme == "http" else "wss"
        raise InsecureLink(f"{_shown(parts)}: {parts.scheme}:// would carry orders in the clear; use {secure}://")


def _as_websocket(url: str) -> str:
    scheme, colon, rest = url.rstrip("/").partition(":")
    return {"http": "ws", "https": "wss"}.get(scheme, scheme) + colon + rest


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name; what it resolves to today is no promise
        return False


def _shown(parts: SplitResult) -> str:
    """The address without what may be a password."""
    return repr(f"{parts.scheme}://{parts.hostname or ''}{parts.path}")
