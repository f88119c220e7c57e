"""The firm's level of a run, ten times a second: its account's word in its folder, the others' words to the core, and
what a control raised for the firm on any of them raised here as well.

    <session.folder>/accounts/<environment>-<account>/holds.json      one word (`mmbot.risk.firm`), replaced whole

A firm is the accounts of one environment below one session folder. Our word is written when it changes and once a
second, without a sync: after a power failure it is old, and an old word denies. Where it cannot be written the others
cannot count us, and we do not grow either.

Between two looks the core grows within our claim (`mmbot.risk.firm`), of which the others know: it is told so much of
the others that its limit leaves it no more.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import board_reader
from mmbot.risk.firm import WORD_BYTES_MAX, Elsewhere, Other, Word, claimed, granted, together
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mmbot.risk.freeze import FreezeBoard, Frozen
    from mmbot.runtime.runner import Runner

__all__ = ["Firm", "others_of", "say"]

LOOK_S = 0.1
AGAIN_NS = 1_000_000_000
"""What is no news is said again after this long."""
_TRADED = ("holds.json", "last-run", "engine")
_OF_ONE_ACCOUNT = ("operator", "latch")
"""Who means one account by all of it: a person, who has `--firm` for every one, and a log that is not as it was."""


def say(state: AccountState, word: Word) -> None:
    """Put an account's word in place of its last one, whole or not at all. Raises OSError."""
    fresh = state.holds.with_name(f".{state.holds.name}.{os.getpid()}")
    fresh.write_bytes(word.encode())
    fresh.replace(state.holds)


def others_of(state: AccountState) -> Iterator[Other]:
    """The other accounts of an account's firm, each with its word. Raises OSError."""
    return map(_word_of, _beside(state))


def _beside(state: AccountState) -> Iterator[AccountState]:
    """Accounts of the same firm on which anybody ever traded."""
    environment = state.name.partition("-")[0]
    for path in sorted(state.path.parent.glob(f"{environment}-*/")):
        if path != state.path and any((path / name).exists() for name in _TRADED):
            yield AccountState(path)


def _word_of(state: AccountState) -> Other:
    ended = state.ended_in_order()  # before its word, which a run says for the last time before it takes its leave
    try:
        with state.holds.open("rb") as file:
            return Other(state.name, Word.decode(file.read(WORD_BYTES_MAX + 1)), ended)
    except (OSError, ValueError):  # as good as none: it counts as unknown
        return Other(state.name, None, ended)


class Firm:
    """What one run says to the firm, and hears of it."""

    def __init__(self, state: AccountState, runner: Runner, age_ms: int, most: int) -> None:
        """most: the firm's limit, in 10^-12 of the quote currency."""
        self._most = most
        self._state, self._runner, self._age_ns = state, runner, age_ms * 1_000_000
        self._said = Word(0, None)
        self._told = Elsewhere(-1, 0, 0, ())
        self._boards: dict[str, Callable[[int], FreezeBoard]] = {}

    async def keep(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Say what we hold and tell the core what others do, where it is news or a second old."""
        now = self._runner.clock.peek()
        try:
            beside = list(_beside(self._state))
            heard = self._claim(beside, now)
            self._freeze_with(beside, now)
        except (OSError, ValueError) as error:  # ValueError: a freeze log or its operators that cannot be read
            heard = Elsewhere(0, 0, now, (f"{self._state.name}: {error}",))
        if heard.unknown != self._told.unknown:
            self._runner.told({"event": "firm", "unknown": list(heard.unknown)})
        if heard.is_news(self._told) or heard.at - self._told.at >= AGAIN_NS:
            self._told = heard
            gross, net = (None, None) if heard.unknown else (heard.gross, heard.net)
            self._runner.core.elsewhere(self._runner.clock(), "firm", gross, net, min(heard.at, now))

    def _claim(self, beside: Sequence[AccountState], now: int) -> Elsewhere:
        """Say what we hold and claim; hear the others after that, as far as it keeps us within our claim."""
        word, most = self._word(now), self._limit(now)
        if self._grows() and word.coins is not None:
            before = together(map(_word_of, beside), now, self._age_ns)
            word = replace(word, claim=claimed(word.gross, before, most))
        self._say(word, now)
        heard = together(others_of(self._state), now, self._age_ns)  # also who began meanwhile
        claim = granted(word.gross, word.ceiling, heard, most)
        if claim < word.ceiling:
            self._say(replace(word, claim=claim), now)
        return replace(heard, gross=max(heard.gross, most - claim))

    def _limit(self, now: int) -> int:
        """The firm's limit as it holds until the next look at least, launch limits after a lift included."""
        freezing = self._runner.freezing
        return self._most if freezing is None else int(self._most * freezing.state.share(now + AGAIN_NS))

    def _grows(self) -> bool:
        """Whether the account may grow; one that is stopped claims nothing."""
        freezing = self._runner.freezing
        return freezing is None or freezing.state.level(FIRM) is FreezeLevel.NORMAL

    def _say(self, word: Word, now: int) -> None:
        if (word.coins, word.claim) != (self._said.coins, self._said.claim) or now - self._said.at >= AGAIN_NS:
            say(self._state, word)
            self._said = word

    def _word(self, now: int) -> Word:
        risk = self._runner.risk
        return Word(now, None if risk is None else risk.holdings.worst_by_coin())

    def _freeze_with(self, beside: Sequence[AccountState], now: int) -> None:
        """Raise here what a control raised for the firm on another account, unless people lifted ours since."""
        freezing = self._runner.freezing
        if freezing is None:
            return
        for other in beside:
            for one in self._frozen(other, now):
                news = one.level > freezing.state.level(FIRM) and one.raised > freezing.state.lowered_at.get(FIRM, 0)
                if news and one.scope == FIRM and one.control not in _OF_ONE_ACCOUNT:
                    said = f"{one.reason} (on {other.name})"
                    self._runner.on_freeze(FreezeAsked(one.level, FIRM, one.control, said, one.raised))

    def _frozen(self, other: AccountState, now: int) -> tuple[Frozen, ...]:
        """What stands on an account; nothing on one that never had a freeze log. Raises OSError, ValueError."""
        if not other.freeze.exists():
            return ()
        if other.name not in self._boards:
            self._boards[other.name] = board_reader(other)
        return self._boards[other.name](now).own

    def leave(self) -> None:
        """Say for the last time what is held, which counts until the account trades again."""
        with suppress(OSError):  # the one before is there, and if it is worse, it denies no less
            say(self._state, self._word(self._runner.clock.peek()))
