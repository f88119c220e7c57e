"""Words that people hand in to an engine, and its answers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from mmbot.ops.hatch import Hatch

if TYPE_CHECKING:
    from pathlib import Path


def hatch(folder: Path) -> Hatch:
    """One of a test."""
    return Hatch("testing", folder / "word.json", folder / "answer.json")


async def echo(word: bytes) -> dict[str, Any]:
    """Agree with everything that is JSON."""
    return {"heard": json.loads(word)}


def test_a_word_is_answered_and_what_the_judge_raises_is_the_answer(tmp_path: Path) -> None:
    """Garbage of any kind ends nothing: it is refused, and the next word is judged."""

    async def story() -> None:
        one, told = hatch(tmp_path), list[dict[str, object]]()
        hearing = asyncio.create_task(one.hear(echo, told.append))
        assert (await one.ask(b"1", 10))["heard"] == 1
        for garbage in (b"{", b"[" * 100_000, b"\xff"):
            assert (await one.ask(garbage, 10))["refused"]
        assert (await one.ask(b"2", 10))["heard"] == 2
        hearing.cancel()
        assert (told, one.word.exists()) == ([], False)

    asyncio.run(story())


def test_who_comes_while_another_waits_is_told_so(tmp_path: Path) -> None:
    """Neither word is lost, and no answer is taken for another's."""

    async def story() -> None:
        first, second = hatch(tmp_path), hatch(tmp_path)
        waiting = asyncio.create_task(first.ask(b"1", 10))
        while not first.word.exists():
            await asyncio.sleep(0)
        with pytest.raises(OSError, match="another word waits"):
            await second.ask(b"2", 10)
        await first.hear_one(echo, lambda _: None)
        assert (await waiting)["heard"] == 1

    asyncio.run(story())


def test_a_late_answer_is_nobody_elses(tmp_path: Path) -> None:
    """A word is withdrawn while it is judged; its answer comes when the next one waits, which waits for its own."""

    async def story() -> None:
        one, go_on = hatch(tmp_path), asyncio.Event()

        async def slow(word: bytes) -> dict[str, Any]:
            await go_on.wait()
            return await echo(word)

        asking = asyncio.create_task(one.ask(b"1", 0.05))
        while not one.word.exists():
            await asyncio.sleep(0)
        judging = asyncio.create_task(one.hear_one(slow, lambda _: None))
        with pytest.raises(TimeoutError):
            await asking
        asking = asyncio.create_task(one.ask(b"2", 10))
        while not one.word.exists():
            await asyncio.sleep(0)
        go_on.set()
        await judging
        assert one.word.read_bytes() == b"2"
        await one.hear_one(echo, lambda _: None)
        assert (await asking)["heard"] == 2

    asyncio.run(story())
