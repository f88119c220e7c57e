"""What is asked again and what is not, by a script of answers and a clock that only a wait moves."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import BybitHttp, NoAnswer
from mmbot.venues.bybit.orders_wire import Answer
from mmbot.venues.port import Overasked, RateLimitError, VenueError

SECOND = 1_000_000_000
PATH = "/v5/order/realtime"
SILENCE = -1


class Evenly(Random):
    """Jitter that is none."""

    def uniform(self, a: float, b: float) -> float:
        """The middle."""
        return (a + b) / 2


class Asked(BybitHttp):
    """Meets these codes one after another; the last one for ever. `SILENCE` is no answer."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.now, self.waits, self.asked, self.overasked = 0, [], 0, []
        self._codes = list(codes)
        super().__init__(
            Endpoint.of("simulator", "http://127.0.0.1:1"),
            None,
            lambda: self.now,
            RateBudget(),
            random=Evenly(),
            sleep=self._slept,
        )
        self.on_overasked = self.overasked.append

    async def _slept(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += round(seconds * SECOND)

    async def _exchange(self, *_: Any, **said: Any) -> Answer:
        self.asked += 1
        code = self._codes.pop(0) if len(self._codes) > 1 else self._codes[0]
        if code == SILENCE:
            raise NoAnswer("nobody")
        if code == 10006:
            self.budget.refused(said["group"], self.now, self.now + 3 * SECOND)
        return Answer(code, "said so", b"{}", (), 0)


def ask(*codes: int) -> tuple[Asked, type[VenueError] | None]:
    """Ask once, and return what was raised."""
    http = Asked(codes)
    try:
        asyncio.run(http.get(PATH, (), signed=False))
    except VenueError as error:
        return http, type(error)
    return http, None


@pytest.mark.parametrize("code", [400, 401, 404, 10001, 10003, 110001])
def test_what_the_venue_refuses_is_not_asked_again(code: int) -> None:
    """A 4xx, or a refusal in the venue's own words, is an answer."""
    http, raised = ask(code)
    assert (http.asked, http.waits) == (1, [])
    assert raised is not None


@pytest.mark.parametrize("trouble", [SILENCE, 500, 502, 503, 504, 10000, 10016])
def test_no_answer_and_a_broken_venue_are_asked_again_at_the_times_of_the_plan(trouble: int) -> None:
    """After 0.25, 0.5 and 1 s by the clock that was given, then no more; a good answer on the way ends it."""
    http, raised = ask(trouble)
    assert (http.asked, http.waits, raised is not None) == (4, [0.25, 0.5, 1.0], True)
    http, raised = ask(trouble, trouble, 0)
    assert (http.asked, http.waits, raised) == (3, [0.25, 0.5], None)


@pytest.mark.parametrize("code", [429, 10429])
def test_a_venue_that_is_asked_too_much_is_left_alone(code: int) -> None:
    """RateLimitError at once, and whoever holds the breaker hears of it."""
    http, raised = ask(code)
    assert (http.asked, http.waits, raised) == (1, [], RateLimitError)
    [heard] = http.overasked
    assert isinstance(heard, Overasked)
    assert heard.reason == "overloaded"


def test_a_read_beyond_the_rate_waits_until_the_venue_takes_it() -> None:
    """10006 names a time; nothing is dropped, nothing leaves before it, and the breaker hears each refusal."""
    http, raised = ask(10006, 0)
    assert (http.asked, raised) == (2, None)
    assert sum(http.waits) == pytest.approx(3.0)
    assert [heard.reason for heard in http.overasked] == ["rate_limited"]
    assert ask(10006)[1] is RateLimitError


def test_reads_within_a_second_wait_for_the_next_instead_of_being_dropped() -> None:
    """Sixty at once: fifty leave at once, ten a second later, none is lost."""

    async def act() -> tuple[int, int]:
        http = Asked([0])
        await asyncio.gather(*(http.get(PATH, (), signed=False) for _ in range(60)))
        return http.asked, http.now

    asked, now = asyncio.run(act())
    assert asked == 60
    assert now >= SECOND
