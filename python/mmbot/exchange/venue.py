"""A whole exchange: markets, accounts, and one server for both.

clock = VenueClock()
exchange = Exchange.open(open_hall(clock=clock), clock, [AccountTerms()])
await exchange.start()     # exchange.http, exchange.ws, exchange.keys
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mmbot.exchange.admin import Admin
from mmbot.exchange.auth import ApiKey
from mmbot.exchange.client_server import ClientSide
from mmbot.exchange.gateway import Gateway
from mmbot.exchange.hall import Hall
from mmbot.exchange.opening import AccountTerms, open_gateway
from mmbot.exchange.public_faults import PublicFaults
from mmbot.exchange.server import Part, Server
from mmbot.exchange.switches import Switches

__all__ = ["Exchange"]


@dataclass(frozen=True)
class Exchange:
    """The parts of a running exchange."""

    hall: Hall
    gateway: Gateway
    server: Server

    @classmethod
    def open(
        cls,
        hall: Hall,
        clock: Callable[[], int],
        accounts: Iterable[AccountTerms] = (AccountTerms(),),
        *,
        switches: Switches | None = None,
        seed: int = 0,
        admin_token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> "Exchange":
        """Put it together; nothing is bound before `start`. The admin API is there only with a token.

        Raises ValueError for accounts or keys that clash, and for an empty token.
        """
        gateway = open_gateway(hall.markets.values(), clock, accounts, switches=switches, seed=seed)
        parts: list[Part] = [ClientSide(gateway)]
        if admin_token is not None:
            parts.append(Admin(gateway, admin_token))
        server = Server(hall, parts, host=host, port=port)
        server.public.tamper = PublicFaults(gateway.faults)
        gateway.catch_up = hall.catch_up
        gateway.on_restart.append(lambda: _restart_books(hall))
        return cls(hall, gateway, server)

    async def start(self) -> None:
        """Bind the port and let everything run. Raises OSError, saying which address and what to do."""
        await self.server.start()

    async def stop(self) -> None:
        """Close every connection, then the port."""
        await self.server.stop()

    @property
    def http(self) -> str:
        """Where REST is."""
        return self.server.http

    @property
    def ws(self) -> str:
        """Where the WebSockets are."""
        return self.server.ws

    @property
    def keys(self) -> list[ApiKey]:
        """The API keys, secrets included: for whoever opened the exchange, and never for a log."""
        return list(self.gateway.keyring)


def _restart_books(hall: Hall) -> None:
    for category, symbol in hall.markets:
        hall.publisher.restart(category, symbol)
