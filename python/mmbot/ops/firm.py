"""The firm's level of a run: its account's word in its folder, the others' words to the core, ten times a second.

    <session.folder>/accounts/<environment>-<account>/holds.json      one word (`mmbot.risk.firm`), replaced whole

A firm is the accounts of one environment below one session folder. Our word is written when it changes and once a
second, without a sync: after a power failure it is old, and an old word denies. Where it cannot be written the others
cannot count us, and we do not grow either.

Not handled: two accounts that grow in the same tenth of a second do not see each other's orders. Limits of the accounts
that add up to no more than the firm's leave no such gap.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from mmbot.ops.account_state import AccountState
from mmbot.risk.firm import WORD_BYTES_MAX, Elsewhere, Other, Word, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmbot.runtime.runner import Runner

__all__ = ["Firm", "others_of", "say"]

LOOK_S = 0.1
AGAIN_NS = 1_000_000_000
"""What is no news is said again after this long."""
_TRADED = ("holds.json", "last-run", "engine")


def say(state: AccountState, word: Word) -> None:
    """Put an account's word in place of its last one, whole or not at all. Raises OSError."""
    fresh = state.holds.with_name(f".{state.holds.name}.{os.getpid()}")
    fresh.write_bytes(word.encode())
    fresh.replace(state.holds)


def others_of(state: AccountState) -> Iterator[Other]:
    """The other accounts of an account's firm on which anybody ever traded. Raises OSError."""
    environment = state.name.partition("-")[0]
    for path in sorted(state.path.parent.glob(f"{environment}-*/")):
        if path != state.path and any((path / name).exists() for name in _TRADED):
            yield _other(AccountState(path))


def _other(state: AccountState) -> Other:
    ended = state.ended_in_order()  # before its word, which a run says for the last time before it takes its leave
    try:
        with state.holds.open("rb") as file:
            return Other(state.name, Word.decode(file.read(WORD_BYTES_MAX + 1)), ended)
    except (OSError, ValueError):  # as good as none: it counts as unknown
        return Other(state.name, None, ended)


class Firm:
    """What one run says to the firm, and hears of it."""

    def __init__(self, state: AccountState, runner: Runner, age_ms: int) -> None:
        self._state, self._runner, self._age_ns = state, runner, age_ms * 1_000_000
        self._said = Word(0, None)
        self._told = Elsewhere(-1, 0, 0, ())

    async def keep(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Say what we hold and tell the core what others do, where it is news or a second old."""
        now = self._runner.clock.peek()
        try:
            self._say(now)
            heard = together(others_of(self._state), now, self._age_ns)
        except OSError as error:
            heard = Elsewhere(0, 0, now, (f"{self._state.name}: {error}",))
        if heard.unknown != self._told.unknown:
            self._runner.told({"event": "firm", "unknown": list(heard.unknown)})
        if heard.is_news(self._told) or heard.at - self._told.at >= AGAIN_NS:
            self._told = heard
            gross, net = (None, None) if heard.unknown else (heard.gross, heard.net)
            self._runner.core.elsewhere(self._runner.clock(), "firm", gross, net, min(heard.at, now))

    def _say(self, now: int) -> None:
        word = self._word(now)
        if word.coins != self._said.coins or now - self._said.at >= AGAIN_NS:
            say(self._state, word)
            self._said = word

    def _word(self, now: int) -> Word:
        risk = self._runner.risk
        return Word(now, None if risk is None else risk.holdings.worst_by_coin())

    def leave(self) -> None:
        """Say for the last time what is held, which counts until the account trades again."""
        with suppress(OSError):  # the one before is there, and if it is worse, it denies no less
            say(self._state, self._word(self._runner.clock.peek()))
