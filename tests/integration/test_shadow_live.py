"""A shadow run over real sockets: the market of our exchange, heard as any venue's, and its recording replayed."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_server import running

from mmbot.config import BacktestConfig, ConfigError
from mmbot.ops.counters import Counters
from mmbot.ops.dryrun import dry_run, on_recording
from mmbot.ops.runs import Cut
from mmbot.ops.shadow import Shadow, shadow
from mmbot.ops.shadow_wiring import Origin, wire_market
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.listing import listed
from mmbot.venues.port import VenueError


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an exchange whose market moves a lot."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--market", "cascade", "--seed", "3") as served:
        yield served.http


def configured(url: str, symbol: str = "BTCUSDT") -> BacktestConfig:
    """A linear instrument without a tape: its grid is the venue's, its fees are said."""
    return BacktestConfig.model_validate(
        {
            "instruments": [
                {
                    "symbol": symbol,
                    "category": "linear",
                    "limits": {"position": "0.2", "order": "0.05"},
                    "fees": {"maker_bps": -0.5, "taker_bps": 4},
                }
            ],
            "strategy": {"name": "join_touch", "params": {"order_lots": 5, "cap_lots": 50}},
            "session": {"environment": "simulator", "url": url},
            "sample_ms": 100,
            "markout": "100ms",
        }
    )


def test_what_was_shadowed_over_sockets_is_what_a_dry_run_of_the_recording_says(exchange: str, tmp_path: Path):
    """Terms, book and trades come from the venue without a key; commands, state and KPIs are those of the replay."""
    config, counters, cut = configured(exchange), Counters(), Cut(duration_s=0.5, iterations=2)

    async def watch():
        wired = await wire_market(config, Origin.WS, counters)
        run = Shadow(
            config=config, instruments=wired.instruments, source=wired.source, out=tmp_path / "shadow", cut=cut
        )
        return await asyncio.wait_for(shadow(run, counters=counters), 25)

    seen = asyncio.run(watch())
    held = dry_run(on_recording(config, tmp_path / "shadow/tapes"), tmp_path / "dry", cut=cut)
    assert seen.summary.message_count > 0
    assert (seen.commands_hash, seen.state_hash, seen.summary) == (held.commands_hash, held.state_hash, held.summary)
    assert seen.counters['shadow_link_events_total{state="up"}'] >= 1
    assert seen.counters['shadow_messages_refused_total{symbol="BTCUSDT"}'] == 0


def test_an_instrument_that_the_venue_does_not_have_is_named(exchange: str):
    """Before anything is subscribed or written."""
    with pytest.raises(VenueError, match="linear NOSUCHUSDT"):
        asyncio.run(wire_market(configured(exchange, "NOSUCHUSDT"), Origin.WS, Counters()))


def test_a_venue_that_does_not_answer_is_an_error():
    """Nobody listens there, however often it is asked; the message says what was asked."""
    waits: list[float] = []

    async def slept(seconds: float) -> None:
        waits.append(seconds)

    endpoint = Endpoint.of("simulator", "http://127.0.0.1:1")
    with pytest.raises(VenueError, match="simulator GET /v5/market/instruments-info linear BTCUSDT"):
        asyncio.run(listed(endpoint, "linear", "BTCUSDT", sleep=slept))
    assert waits == [2.0, 5.0, 10.0]


def test_without_a_session_there_is_nothing_to_listen_to(exchange: str):
    """An embedded exchange belongs to `mmbot run`, in shadow too: `mmbot shadow` starts none."""
    config = configured(exchange).model_copy(update={"session": None})
    with pytest.raises(ConfigError, match="nothing to listen to"):
        asyncio.run(wire_market(config, Origin.WS, Counters()))


CONFIG = """
markout = "100ms"
sample_ms = 100
[[instruments]]
tape = "sample:bybit-btcusdt"
limits = { position = "0.2", order = "0.05" }
[strategy]
name = "join_touch"
params = { order_lots = 5, cap_lots = 50 }
"""


def test_who_interrupts_a_shadow_run_keeps_what_was_heard(tmp_path: Path):
    """Ctrl-C after the first iteration: the recording is whole, the summary is written, and the exit code is 0."""
    (tmp_path / "run.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "mmbot", "shadow", "run.toml", "--source", "mock", "--duration", "0.2"]
    with subprocess.Popen(
        [*command, "--iterations", "1000"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("iteration 1 of 1000 until")
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=20)
    assert process.returncode == 0, complaints
    assert "1000 iterations were asked for" in complaints
    assert "hold it against its replay" in shown
    folder = tmp_path / "artifacts/shadow/latest"
    assert [path.suffix for path in (folder / "tapes").iterdir()] == [".tape"]
    assert (folder / "report/report.html").exists()
