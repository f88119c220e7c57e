"""How connections come in: no more than there is room for, and none that keeps a request back.

    connect ─▶ head, within `request_ms` ─▶ body, within `request_ms` ─▶ answered ─▶ next head, within `keep_alive_ms`

A connection whose head is late is dropped; one whose body is late is told HTTP 408 first. A WebSocket is a request
that is being answered: its own idle time holds. A client that left before it was answered is nobody's error.
"""

from __future__ import annotations

import asyncio
import logging
import resource

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware

from mmbot.exchange.public_switches import PublicSwitches

__all__ = ["OUR_FAULTS", "Doorway"]

_THEIRS = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
OUR_FAULTS = logging.getLogger(__name__)
"""Where the HTTP server logs: what goes wrong in here, and not that a client's bytes are no HTTP, or end too soon."""
OUR_FAULTS.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], _THEIRS)))

_DESCRIPTORS_KEPT = 64
"""What the process itself may need of its file descriptors: tapes, pipes, the listening socket."""


class Doorway:
    """Lets connections in to one server, and counts the time of their requests."""

    def __init__(self, switches: PublicSwitches) -> None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = switches.open_max
        if descriptors != resource.RLIM_INFINITY:
            room = max(min(room, descriptors - _DESCRIPTORS_KEPT), 1)
        self._room = room
        self._switches = switches
        self._alarms: dict[asyncio.Protocol, asyncio.TimerHandle] = {}

    def admit(self, server: web.Server) -> asyncio.Protocol:
        """The protocol of a connection that comes in."""
        if len(server.connections) >= self._room:
            return _Full()
        protocol = server()
        self._expect(protocol, self._switches.request_ms)
        return protocol

    def middleware(self) -> Middleware:
        """The outermost one: it sees every request whose head is complete, and brings its body."""

        @web.middleware
        async def timely(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._arrived(request.protocol)
            try:
                await self._read(request)
                return await handler(request)
            except ConnectionError:
                return web.Response()  # to nobody: the client left
            finally:
                self._expect(request.protocol, self._switches.keep_alive_ms)

        return timely

    def close(self) -> None:
        """Forgets all alarms; the server drops the connections themselves."""
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()

    async def _read(self, request: web.Request) -> None:
        """Waits for the body, which the request keeps for its handler."""
        if request.transport is None:
            raise ConnectionResetError("the client left before its request was read")
        try:
            async with asyncio.timeout(self._switches.request_ms / 1000):
                await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from error
        except web.RequestPayloadError as error:
            raise web.HTTPBadRequest(text="the body is not what its headers say") from error

    def _expect(self, protocol: web.RequestHandler, within_ms: int) -> None:
        self._alarms[protocol] = asyncio.get_running_loop().call_later(within_ms / 1000, self._late, protocol)

    def _arrived(self, protocol: web.RequestHandler) -> None:
        alarm = self._alarms.pop(protocol, None)
        if alarm is not None:
            alarm.cancel()

    def _late(self, protocol: web.RequestHandler) -> None:
        del self._alarms[protocol]
        if protocol.transport is not None:
            protocol.transport.abort()


class _Full(asyncio.Protocol):
    """A connection that there is no room for."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not at once: uvloop is not done with a transport before this returns.
        asyncio.get_running_loop().call_soon(transport.close)
