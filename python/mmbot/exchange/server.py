"""One port for everything: REST and all WebSockets.

    Server(hall, parts)   a part brings a route table; the market side brings its own two
    before a request      the market catches up, so that a request meets the market of its moment
    unknown path          HTTP 404

The server is single-threaded and knows no credentials. Loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mmbot.exchange.doorway import OUR_FAULTS, Doorway
from mmbot.exchange.hall import Hall
from mmbot.exchange.public_rest import PublicRest
from mmbot.exchange.public_socket import PublicSockets

__all__ = ["Part", "Server"]

BODY_BYTES_MAX = 1_048_576
_SHUTDOWN_S = 2.0
_LINGER_S = 1.0
"""How long a refused body may still come, so that its client reads the refusal."""


class Part(Protocol):
    """Something that answers paths."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Its route table, read once before the start."""

    async def start(self) -> None:
        """Begins what runs by itself. Called once the port is bound."""

    async def stop(self) -> None:
        """Ends its connections. Called before the port closes."""


class Server:
    """The HTTP server of an exchange."""

    def __init__(self, hall: Hall, parts: Sequence[Part] = (), *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.hall = hall
        self.public = PublicSockets(hall)
        self._parts = parts
        self._host, self._port = host, port
        self._doorway = Doorway(hall.switches)
        self._listener: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._beat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Binds the port and lets the markets run. Raises OSError, saying which address and what to do."""
        middlewares = [self._doorway.middleware(), _caught_up(self.hall)]
        app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=middlewares)
        app.add_routes(PublicRest(self.hall).routes())
        app.add_routes(self.public.routes())
        for part in self._parts:
            app.add_routes(part.routes())
        runner = web.AppRunner(
            app, access_log=None, logger=OUR_FAULTS, shutdown_timeout=_SHUTDOWN_S, lingering_time=_LINGER_S
        )
        await runner.setup()
        assert runner.server is not None
        admit = partial(self._doorway.admit, runner.server)
        try:
            listener = await asyncio.get_running_loop().create_server(admit, self._host, self._port)
        except OSError as error:
            await runner.cleanup()
            raise _unbound(error, self._host, self._port) from error
        self._runner, self._listener = runner, listener
        self._port = listener.sockets[0].getsockname()[1]
        for part in self._parts:
            await part.start()
        self._beat = asyncio.create_task(self.hall.run(), name="exchange beat")

    async def stop(self) -> None:
        """Closes every connection in form, then the port."""
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat
        for part in self._parts:
            await part.stop()
        await self.public.stop()
        if self._listener is not None:
            self._listener.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._doorway.close()

    async def failed(self) -> None:
        """Waits until the markets stop by a fault of ours, and raises it; for ever while all is well."""
        if self._beat is not None:
            await asyncio.shield(self._beat)

    @property
    def http(self) -> str:
        """Where REST is."""
        return f"http://{self._host}:{self._port}"

    @property
    def ws(self) -> str:
        """Where the WebSockets are."""
        return f"ws://{self._host}:{self._port}"


def _caught_up(hall: Hall) -> Middleware:
    @web.middleware
    async def caught_up(request: web.Request, handler: Handler) -> web.StreamResponse:
        hall.catch_up()
        return await handler(request)

    return caught_up


def _unbound(error: OSError, host: str, port: int) -> OSError:
    if error.errno == errno.EADDRINUSE:
        return OSError(f"port {port} of {host} is in use; choose another with --port, or --port 0 for any free one")
    return OSError(f"can not listen on {host} port {port}: {error.strerror}")
