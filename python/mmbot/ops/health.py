"""Whether this process lives, and whether it is ready to trade: two questions over HTTP, on this machine alone.

    GET /live     200 while the loop answers; 503 after the run has failed
    GET /ready    200 {"ready": true}; 503 {"ready": false, "reasons": [{"what": "frozen", "why": …}]}

The kind of restart that /live asks for loses nothing; what /ready says is for whoever waits or watches, and stops no
order by itself.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

__all__ = ["Health", "pause_reasons"]

LOOPBACK: Final = "127.0.0.1"
CLOSE_S: Final = 1.0


class Health:
    """Named checks, each of which says why not, or ""."""

    def __init__(self, alive: Callable[[], str], checks: Mapping[str, Callable[[], Mapping[str, str]]]) -> None:
        """`alive` says why the process should be started again. A check gives reasons by what they are about."""
        self._alive, self._checks = alive, checks

    def reasons(self) -> list[dict[str, str]]:
        """Everything that keeps the run from trading now; a check that fails is a reason itself."""
        found: list[dict[str, str]] = []
        for name, check in self._checks.items():
            try:
                found += [{"what": what, "why": why} for what, why in check().items() if why]
            except Exception as error:  # noqa: BLE001  readiness that cannot be told is no readiness
                found.append({"what": name, "why": f"the check itself failed: {error!r}"})
        return found

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = self.reasons()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def _live(self, _: web.Request) -> web.Response:
        why = self._alive()
        return web.json_response({"live": not why, "why": why}, status=503 if why else 200)

    @asynccontextmanager
    async def served(self, port: int) -> AsyncIterator[int]:
        """Answer on the loopback; yields the port, which `port` 0 leaves to the system. Raises OSError."""
        app = web.Application()
        app.add_routes([web.get("/ready", self._ready), web.get("/live", self._live)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, port).start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


_ABOUT: Final = (
    ("freeze", "frozen"),
    ("frozen", "frozen"),
    ("book", "feed_stale"),
    ("public", "feed_stale"),
    ("start", "feed_stale"),
    ("reconcile", "reconcile"),
    ("recover", "reconcile"),
    ("trade lease", "lease"),
    ("guardian", "guardian_lost"),
)


def pause_reasons(pauses: Mapping[str, str]) -> dict[str, str]:
    """The reasons for which a run has taken its quotes out, by what they are about; others keep their own name."""
    found: dict[str, str] = {}
    for name, why in pauses.items():
        about = next((what for start, what in _ABOUT if name.startswith(start)), name)
        found[about] = f"{found[about]}; {why}" if about in found else why
    return found
