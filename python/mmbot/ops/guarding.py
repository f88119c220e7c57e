"""A run and its guardian: find it or start it, be welcomed, beat, and take leave.

The guardian is a process of its own, in a session of its own: a kill of the run, or Ctrl-C on its terminal, does not
reach it. It ends by itself (`mmbot.guardian.core`). One that watches the account already, because it stays or because
an earlier run died a moment ago, is taken as it is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.gateway.hardening import piped
from mmbot.guardian.client import GuardianClient
from mmbot.guardian.doors import reachable
from mmbot.guardian.link import GuardianLink, Reading
from mmbot.guardian.words import PROTOCOL, Head, Hello
from mmbot.ops.freeze_latch import board_reader
from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    from mmbot import _core
    from mmbot.config import SessionConfig
    from mmbot.ops.account_state import AccountState
    from mmbot.risk.levels import FreezeAsked
    from mmbot.runtime.runner import Runner

__all__ = ["GUARDIAN_FD", "GUARDIAN_KEYS", "Guard", "Watch", "key_names", "latch_reader", "listens", "reading"]

GUARDIAN_KEYS = ("MMBOT_GUARDIAN_API_KEY", "MMBOT_GUARDIAN_API_SECRET")
"""Environment variables that hold the guardian's own key and secret."""
GUARDIAN_FD = "MMBOT_GUARDIAN_FD"
"""Environment variable with the number of the pipe that holds the guardian's key, unread, where a gateway holds the
run's."""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "PYTHONUTF8", "PYTHONHASHSEED")
"""What else of the environment a guardian gets: no secret that it does not use."""
MEET_S = 20.0
LISTENS_S = 1.0
LOOK_S = 0.05


@dataclass(frozen=True)
class Watch:
    """What is watched: an account, what is traded on it, and the run."""

    session: SessionConfig
    state: AccountState
    account: str
    markets: Sequence[tuple[str, str]]
    epoch: int
    run: Path
    """The folder of the run."""

    @property
    def journal(self) -> str:
        """How anchors call the run's journal."""
        return f"{self.run.name}/journal.mmj"


class Guard:
    """One run's guardian. `told`: hears what a person should know."""

    def __init__(
        self,
        watch: Watch,
        *,
        clock: Callable[[], int],
        told: Callable[[dict[str, object]], None],
    ) -> None:
        self._watch, self._state, self._told = watch, watch.state, told
        hello = Hello(
            protocol=PROTOCOL,
            environment=watch.session.environment,
            account=watch.account,
            epoch=watch.epoch,
            journal=watch.journal,
        )
        self._client = GuardianClient(
            GuardianLink(hello), self._state.guardian_socket, clock=clock, freeze=self._asked, broken=self._broken
        )
        self._runner: Runner | None = None
        self._journal: _core.Journal | None = None

    async def meet(self, config: Path, environ: MutableMapping[str, str]) -> Head | None:
        """Find the guardian, or start it from the configuration at that path; return the last anchor that it kept.

        A pipe with its key is taken out of `environ`, needed or not. Raises VenueError where nobody will watch, and
        ConfigError where there is no key to start it with.
        """
        given = environ.pop(GUARDIAN_FD, "")
        pipe = int(given) if given.isdecimal() else None
        child = None
        try:
            if not await listens(self._state):
                if pipe is None:
                    pipe = self._piped(environ)
                child = _Child.start(self._words(config, pipe), pipe, environ, self._state.path / "guardian.log")
        finally:
            if pipe is not None:
                os.close(pipe)
        anchor = await self._met(child)
        self._told({"event": "guardian", "state": "watching", "anchor": None if anchor is None else anchor.seq})
        return anchor

    def _words(self, config: Path, pipe: int) -> list[str]:
        words = [sys.executable, "-m", "mmbot", "guardian", str(config.resolve()), "--json"]
        words += [word for category, symbol in self._watch.markets for word in ("--market", f"{category}:{symbol}")]
        return [*words, "--credentials-fd", str(pipe)]

    def _piped(self, environ: Mapping[str, str]) -> int:
        names = key_names(self._watch.session, environ)
        if not all(environ.get(name) for name in names):
            raise ConfigError(
                f"{' and '.join(GUARDIAN_KEYS)} not set: no guardian listens at {self._state.guardian_socket}, and "
                "there is no key to start one with: on mainnet and beside a gateway it has one of its own. Export one "
                "of the same account that may only trade, or start the guardian yourself: mmbot guardian CONFIG --stay"
            )
        if names != GUARDIAN_KEYS:
            self._told({"event": "guardian", "state": "starts with the run's key: it fails when that does"})
        return piped(*(environ[name] for name in names))

    async def _met(self, child: _Child | None) -> Head | None:
        """Be welcomed; a guardian that ended instead is not waited for."""
        meeting = asyncio.create_task(self._client.meet(MEET_S))
        try:
            while not meeting.done():
                await asyncio.wait([meeting], timeout=LOOK_S)
                if child is not None and child.process.poll() is not None and not await listens(self._state):
                    raise VenueError(f"the guardian did not start: {child.said()}; see {child.log}")
            return meeting.result()
        finally:
            meeting.cancel()

    def begin(self, runner: Runner, journal: _core.Journal) -> None:
        """Beat from now on, from the loop that trades."""
        self._runner, self._journal = runner, journal
        runner.lifted = self._client.lifted
        self._client.begin(lambda late: reading(runner, journal, self._watch.journal, late))

    async def leave(self, why: str) -> None:
        """Say goodbye: the watch ends if the venue said that no order of ours is there."""
        left = self._runner is None or self._runner.left
        await self._client.leave(left=left, why=why)

    def _broken(self, error: BaseException) -> None:
        if self._runner is not None:
            self._runner.fail(error)

    def _asked(self, asked: FreezeAsked) -> None:
        if self._runner is not None:
            self._runner.freeze(asked)


def reading(runner: Runner, journal: _core.Journal, name: str, late: int) -> Reading:
    """What a run believes now; `name`: how anchors call its journal, `late`: by how much its loop was, in ns.

    What the head counts was handed to the system: a kill leaves no head beyond it.
    """
    try:
        if journal.dead is None:
            journal.flush()
    except OSError as error:
        runner.fail(error)
    seq, chain = journal.head()
    now, oldest = runner.clock.peek(), runner.bridge.oldest_unanswered()
    unanswered = 0 if oldest is None else now - oldest
    links = [state for name, state in runner.links.items() if name.split()[0] in ("private", "trade")]
    return Reading(
        head=Head(journal=name, seq=seq, chain=chain),
        positions=dict(_positions(runner)),
        open_orders=runner.bridge.most_open(),
        ready="start" not in runner.pauses and not runner.stopping,
        linked=all(state == "up" for state in links),
        level=_level(runner),
        lag_ns=late,
        unanswered_ns=unanswered,
        unheard_ns=0 if oldest is None or runner.heard_at > oldest else unanswered,
    )


@dataclass(frozen=True)
class _Child:
    """A guardian that was started here. It outlives the run; only its start is watched."""

    process: subprocess.Popen[bytes]
    log: Path
    begun: int
    """Where in the log its own lines begin."""

    @classmethod
    def start(cls, words: Sequence[str], pipe: int, environ: Mapping[str, str], log: Path) -> _Child:
        """Start it in a session of its own, with nothing secret but what the pipe holds."""
        with log.open("ab") as out:
            begun = out.tell()
            process = subprocess.Popen(  # noqa: S603  our own interpreter and words
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={name: environ[name] for name in INHERITED if name in environ},
                pass_fds=[pipe],
                start_new_session=True,
            )
        return cls(process, log, begun)

    def said(self) -> str:
        """Its last words."""
        lines = self.log.read_bytes()[self.begun :].decode(errors="replace").strip().splitlines()
        return "; ".join(lines[-2:]) or f"it printed nothing and ended with {self.process.returncode}"


def key_names(session: SessionConfig, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the variables of the guardian's key and secret, set or not: its own, so that it can cancel when the run's
    is revoked; the run's only where it has none and no real money is at stake.
    """
    if session.environment == "mainnet" or all(environ.get(name) for name in GUARDIAN_KEYS):
        return GUARDIAN_KEYS
    return session.key_variable, session.secret_variable


def latch_reader(state: AccountState) -> Callable[[], tuple[FreezeLevel, str]]:
    """How a guardian reads the freeze log of an account: the highest level of account and firm, and why.

    It writes nothing there. What cannot be read raises OSError or ValueError.
    """
    look = board_reader(state)

    def read_latch() -> tuple[FreezeLevel, str]:
        wide = [one for one in look(time.time_ns()).frozen if one.scope.kind in ("account", "firm")]
        worst = max(wide, key=lambda one: one.level, default=None)
        return (worst.level, f"{worst.control}: {worst.reason}") if worst else (FreezeLevel.NORMAL, "")

    return read_latch


def _level(runner: Runner) -> FreezeLevel:
    """How far the account is frozen: a freeze of a strategy or a symbol is the engine's own to obey."""
    freezing = runner.freezing
    if freezing is None:
        return FreezeLevel.NORMAL
    return max(freezing.state.level(scope) for scope in (FIRM, Scope("account", freezing.account)))


def _positions(runner: Runner) -> list[tuple[str, str]]:
    found = []
    for index, each in enumerate(runner.listed):
        if each.category != "spot":
            lots = int(runner.core.books(0, index)["position_lots"])
            qty = each.instrument.quantity(abs(lots))
            found.append((each.name, f"-{qty}" if lots < 0 else qty))
    return found


async def listens(state: AccountState) -> bool:
    """Whether a guardian is there: a socket that nobody listens on refuses."""
    try:
        with reachable(state.guardian_socket) as path:
            async with asyncio.timeout(LISTENS_S):
                _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True
