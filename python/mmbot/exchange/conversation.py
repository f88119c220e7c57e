"""What a private and a trade connection have in common: whose it is, when it last said a word, and how it ends."""

from mmbot.exchange.gateway import Gateway
from mmbot.exchange.line import How, Line

__all__ = ["Conversation"]


class Conversation:
    """One connection of a client, among the gateway's sessions until it is `gone`."""

    link: str

    def __init__(self, gateway: Gateway, line: Line, connection: str, address: str, idle_ms: int) -> None:
        self.uid: int | None = None
        self.key = ""
        """The API key that it logged in with."""
        self.heard_ms = gateway.now_ms()
        self.idle_ms = idle_ms
        self._gateway = gateway
        self._line = line
        self._connection = connection
        self._address = address
        gateway.sessions.add(self)

    def pinged(self) -> None:
        """A ping of the WebSocket protocol came: that is a word too."""
        self.heard_ms = self._gateway.now_ms()

    def gone(self) -> None:
        """The connection is closed."""
        self._gateway.sessions.discard(self)

    def cut(self, how: How) -> None:
        """End the connection."""
        self._line.cut(how)

    def mute(self) -> None:
        """Say nothing more."""
        self._line.muted = True
