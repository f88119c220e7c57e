"""Every exception class: explained, raised in a test, and told in one line to whoever has to act."""

import asyncio
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import mmbot
from mmbot import _core
from mmbot.cli import freeze
from mmbot.cli.clear_line import one_clear_line
from mmbot.config import BacktestConfig, RedisConfig
from mmbot.config.load import check
from mmbot.exchange import public_rest
from mmbot.guardian import words
from mmbot.ops.account_state import AccountState
from mmbot.ops.chaos import rigs
from mmbot.ops.counters import Counters
from mmbot.ops.freeze_tokens import TokenError, enrol_key
from mmbot.ops.leader.redis_bus import RedisAwayError, RedisBus
from mmbot.research.backtest import backtest
from mmbot.research.journal import live_engine
from mmbot.research.outcome import NoMarketError
from mmbot.strategy import Strategy, View, Wake, quotes
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import Banned, BybitHttp
from mmbot.venues.port import KeyRefusedError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
SOURCE = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "python/mmbot").rglob("*.py")))
ELSEWHERE = "".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)
)
OURS = {"BooksError", "KilledError"}
"""What nobody answers: a mistake of ours, and the simulator's own way to die."""
STRUCTURED = {"RefusedError", "OverrideRefusedError"}
"""What has a code beside its words: answered to a client, and to whoever signed, as their own tests show."""
BY_THE_DRIVER = {"BidAskInvariantError"}
"""A strategy raises it, so it is told as that strategy's error."""


def classes() -> dict[str, type[BaseException]]:
    """Every exception class of the package and its core."""
    found: dict[str, type[BaseException]] = {}
    for module in pkgutil.walk_packages(mmbot.__path__, "mmbot."):
        if not module.name.endswith("__main__"):
            for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if issubclass(one, BaseException) and one.__module__.startswith("mmbot"):
                    found[one.__name__] = one
    return dict(sorted(found.items()))


CLASSES = classes()


def test_every_class_is_explained_and_no_other() -> None:
    """Each in one row, under who has to act."""
    rows = [re.findall(r"`([A-Za-z]+)`", line.split("|")[1]) for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in row]
    assert sorted(named) == list(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_met_in_a_test(name: str) -> None:
    """By its name, below or where it belongs."""
    assert name in {*SCENES, "MissingServerError"} or re.search(rf"\b{name}\b", ELSEWHERE), f"no test names {name}"


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_answered_somewhere(name: str) -> None:
    """Itself or what it is a kind of: by a handler, or as the one line of a command."""
    if name in OURS | BY_THE_DRIVER or issubclass(CLASSES[name], (ValueError, OSError)):
        return
    kinds = "|".join(one.__name__ for one in CLASSES[name].__mro__ if one.__module__.startswith("mmbot"))
    assert re.search(rf"(except|one_clear_line\(|suppress\().*\b({kinds})\b", SOURCE), f"nobody answers {name}"


@pytest.mark.parametrize("name", [name for name in CLASSES if name not in OURS | STRUCTURED])
def test_every_class_is_told_in_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was wrong, on the error output, and exit code 1: never a traceback."""
    with pytest.raises(typer.Exit) as ended, one_clear_line(CLASSES[name]):  # type: ignore[arg-type]
        raise CLASSES[name]("where: what was wrong; what was expected")
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "error: where: what was wrong; what was expected\n"


# ---- those that no other test raises


def banned() -> None:
    """The venue wanted silence a moment ago."""
    http = BybitHttp(Endpoint.of("simulator", "http://127.0.0.1:1"), None, lambda: 5, RateBudget())

    http._session, http._banned_until = object(), 10  # type: ignore[assignment]  nobody gets as far as using it
    asyncio.run(http.get("/v5/order/realtime", (), signed=False))


def key_refused() -> None:
    """The venue's answer to a key that was revoked."""
    http = BybitHttp(Endpoint.of("simulator", "http://127.0.0.1:1"), None, lambda: 5, RateBudget())
    http._judged("GET /v5/user/query-api", 10003, "API key is invalid.")


def redis_away() -> None:
    """Nobody listens there."""
    bus = RedisBus(RedisConfig(), Counters(), lambda _: None, url="redis://127.0.0.1:1/0")
    asyncio.run(bus.call(lambda redis: redis.ping()))


INSTRUMENT = {"venue": "bybit", "symbol": "BTCUSDT", "kind": "linear", "tick": "0.1", "lot": "0.001"}


class Idle(Strategy):
    """Wants nothing, often."""

    wake = Wake(every_ms=1)

    def decide(self, view: View) -> Any:
        """Say so."""
        return quotes(None, None, 1)


def full_journal(folder: Path) -> None:
    """A strategy is to be asked while the disk has no room."""
    instrument = _core.Instrument(**INSTRUMENT)
    tape, disk = _core.LiveTape(folder / "tape.live", instrument), _core.SimDisk()
    journal = _core.Journal.on(disk, 1, "{}", reserve_bytes=64 << 10)
    config = {"instruments": [{"symbol": "BTCUSDT", "category": "linear", "limits": {"position": "1", "order": "1"}}]}
    run = check(BacktestConfig, config, "a.toml")
    core, windows = live_engine(run, Idle(), [instrument], [tape.tape], journal=journal)
    tape.depth(10, 10, "snapshot", [("100.0", "5")], [("100.2", "5")])
    disk.fail("write", "ENOSPC")
    for number in range(13):
        journal.note(20 + number, "said", "x" * 10_000)
        journal.sync()
    core.step(1_000_000_000, Idle().decide, windows)


def no_market(folder: Path) -> None:
    """A tape on which nobody ever offers."""
    tape = folder / "bids.tape"
    writer = _core.TapeWriter(tape, _core.Instrument(**INSTRUMENT))
    writer.depth(2, 1, "snapshot", [("99.9", "1.000")], [])
    writer.finish()
    config = {"instruments": [{"tape": str(tape), "limits": {"position": "1", "order": "1"}}]}
    backtest(check(BacktestConfig, config, "a.toml"), strategy=Idle())


SCENES: dict[str, tuple[type[Exception], Callable[[Path], object], str]] = {
    "Banned": (Banned, lambda _: banned(), "wants silence"),
    "KeyRefusedError": (KeyRefusedError, lambda _: key_refused(), "API key is invalid"),
    "RedisAwayError": (RedisAwayError, lambda _: redis_away(), "Redis gave no answer"),
    "BadParameterError": (
        public_rest.BadParameterError,
        lambda _: public_rest._limit({"limit": "0"}, default=50, most=200),
        "limit 0 is not between 1 and 200",
    ),
    "Unreadable": (words.Unreadable, lambda _: words.decode(b'{"type":"?"}\n'), "expected one of the messages"),
    "NoAccountError": (
        freeze.NoAccountError,
        lambda folder: freeze.chosen(folder, None),
        "there is no account",
    ),
    "TokenError": (TokenError, lambda folder: enrol_key(AccountState.at(folder), "xyz", "Ada", "a"), "no public key"),
    "JournalFull": (_core.JournalFull, full_journal, "No space"),
    "NoMarketError": (NoMarketError, no_market, "no sample has both a bid and an ask"),
}


@pytest.mark.parametrize("name", SCENES)
def test_it_is_raised_with_what_was_wrong(name: str, tmp_path: Path) -> None:
    """By what a person or the world does."""
    kind, act, said = SCENES[name]
    with pytest.raises(kind, match=said):
        act(tmp_path)


def test_an_exercise_without_its_server_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """MissingServerError names what to install."""
    monkeypatch.setattr(rigs, "why_no_redis", lambda: "no redis-server on this machine: apt-get install redis-server")

    async def exercise() -> None:
        async with rigs.sentinels():
            pass

    with pytest.raises(rigs.MissingServerError, match="apt-get install"):
        asyncio.run(exercise())
