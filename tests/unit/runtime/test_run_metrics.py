"""Every number of a run in one place, and breakers of different kinds that are never confused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from trading_desk import Desk
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.config import RiskConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.alarm_log import Alarmed, AlarmLog
from mmbot.ops.controls import risk_desk
from mmbot.ops.counters import Counters
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.metrics import RunMetrics, read_metrics
from mmbot.risk import FIRM, FreezeAsked, FreezeBoard, FreezeLevel
from mmbot.risk.controls import asked
from mmbot.runtime.board import Board
from mmbot.runtime.gate import OrderGate
from mmbot.venues.port import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.runtime.status import Status

BREAKERS = ("api", "loss", "infrastructure", "market")


class Watcher:
    """Hears what is told."""

    def told(self, event: dict[str, object]) -> None:
        """Nothing is shown."""


class Stage:
    """A run that has not begun, its gate, its freeze board, and the numbers of all."""

    def __init__(self, folder: Path) -> None:
        self.board, self.others, self.watcher = FreezeBoard(), Counters(), Watcher()
        self.desk = Desk(folder, board=self.board)
        runner = self.desk.runner
        risk_desk(RiskConfig(), runner, [100], strategy="quoter", account="7", folder=None)
        self.gate = OrderGate(runner, lambda: 1)
        self.metrics = RunMetrics(runner, self.gate, self.board, self.others)

    def breakers(self) -> dict[str, float]:
        """Which are open, by kind."""
        metrics = self.metrics.all()
        return {kind: metrics[f'circuit_breaker_state{{kind="{kind}"}}'] for kind in BREAKERS}

    def shown(self) -> Status:
        """What a status event is made from."""
        board = Board(
            self.desk.runner, mode="paper", environment="demo", strategy="quoter", position_max=["1"], started=1
        )
        board.metrics = self.metrics.all
        return board.status()


@pytest.mark.parametrize(
    ("control", "kind"), [("loss_day", "loss"), ("rejects_in_a_row", "infrastructure"), ("edge", "market")]
)
def test_a_control_opens_the_breaker_of_its_kind_alone(control: str, kind: str, tmp_path: Path) -> None:
    """A loss is no outage, and neither is the venue's 429."""
    stage = Stage(tmp_path)
    assert stage.breakers() == dict.fromkeys(BREAKERS, 0)
    stage.board.ask(asked(control, FIRM, "x", 1))
    assert stage.breakers() == {name: int(name == kind) for name in BREAKERS}
    metrics = stage.metrics.all()
    assert metrics[f'freeze_triggered_total{{control="{control}"}}'] == 1
    assert metrics["mm_freeze_events_total"] == 1


def test_the_venues_complaint_opens_the_breaker_of_the_api_alone(tmp_path: Path) -> None:
    """HTTP 429 is the order gate's; it ends by itself."""

    async def story() -> None:
        stage = Stage(tmp_path)
        too_many = Refused(client_id="x", request="place", reason="overloaded", code=10429, message="", ts_venue=0)
        stage.gate.on_facts([too_many], 0)
        assert stage.breakers() == {name: int(name == "api") for name in BREAKERS}

    asyncio.run(story())


def test_a_redis_that_is_away_is_infrastructure(tmp_path: Path) -> None:
    """Its own counters are among the others, and its breaker is that of its kind."""
    stage = Stage(tmp_path)
    stage.others.set("circuit_breaker_state", 1, kind="infrastructure")
    stage.others.add("redis_connection_errors_total", 3)
    assert stage.breakers() == {name: int(name == "infrastructure") for name in BREAKERS}
    assert stage.metrics.all()["redis_connection_errors_total"] == 3


def test_denials_events_and_guards_are_among_the_numbers(tmp_path: Path) -> None:
    """By reason, by name, by symbol."""
    stage = Stage(tmp_path)
    metrics = stage.metrics.all()
    assert metrics['order_denied_total{reason="order_size"}'] == 0
    assert metrics['risk_guard_level{symbol="linear BTCUSDT"}'] == 0
    assert metrics["limits_share"] == 1
    assert metrics["run_paused"] == 1, "it waits for its first book"
    assert 'freeze_asked_total{control="edge",kind="market"}' in metrics
    assert stage.shown().metrics == metrics


def test_the_status_command_tells_the_same_as_the_run(tmp_path: Path) -> None:
    """The engine writes its numbers; another process reads them while that one lives, and the board's afterwards."""
    stage, state = Stage(tmp_path), AccountState.of(tmp_path / "runs", "demo", "7")
    state.trades_here()

    async def once() -> None:
        keeping = asyncio.create_task(stage.metrics.keep(state))
        await asyncio.sleep(0)
        keeping.cancel()

    asyncio.run(once())
    Alarmed(stage.watcher, AlarmLog(state, "7"), lambda: 1).told({"event": "stray", "why": "lost"})
    FreezeLatch(state, lambda: 2).ask(FreezeAsked(FreezeLevel.NO_NEW, FIRM, "operator", "by hand", 2))
    [words] = told(state)
    assert words["engine"] is not None
    assert words["metrics"] == stage.metrics.all()
    assert (words["level"], words["frozen"][0]["control"]) == ("NO_NEW", "operator")
    [alarm] = words["alarms"]
    assert (alarm["name"], alarm["level"], alarm["why"]) == ("stray", "P1", "lost")
    state.run_ends()
    [words] = told(state)
    assert words["engine"] is None
    assert words["metrics"]["freeze_level"] == 2
    assert {name for name in words["metrics"] if name.startswith("circuit")} == {
        f'circuit_breaker_state{{kind="{kind}"}}' for kind in BREAKERS[1:]
    }
    said = CliRunner().invoke(app, ["status", "--runs", str(tmp_path / "runs")]).stdout
    assert f"ALARM P1 {alarm['id']}  stray" in said


def told(state: AccountState) -> list[dict]:
    """What `mmbot status --json` says."""
    result = CliRunner().invoke(app, ["status", "--json", "--runs", str(state.path.parents[1])])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_person_acknowledges_by_the_status_command(tmp_path: Path) -> None:
    """With a name; an alarm that is not there is said so, by the exit code too."""
    state = AccountState.of(tmp_path / "runs", "demo", "7")
    log = AlarmLog(state, "7")
    Alarmed(Stage(tmp_path).watcher, log, lambda: 1).told({"event": "stray", "why": "lost"})
    [alarm] = log.board.open
    words = ["status", "--runs", str(tmp_path / "runs"), "--ack", alarm.alarm_id]
    assert CliRunner(env={"USER": ""}).invoke(app, words).exit_code == 2
    assert CliRunner().invoke(app, [*words, "--by", "ada"]).exit_code == 0
    log.refresh()
    assert log.board.open == []
    assert CliRunner().invoke(app, [*words, "--by", "ada"]).exit_code == 1


def test_numbers_that_cannot_be_written_stop_nothing(tmp_path: Path) -> None:
    """The last ones stay; a file that is none is no numbers."""
    stage, state = Stage(tmp_path), AccountState.of(tmp_path / "runs", "demo", "7")
    assert read_metrics(state) is None
    state.metrics.write_text("{")
    assert read_metrics(state) is None
    state.metrics.unlink()
    state.metrics.mkdir()

    async def once() -> None:
        keeping = asyncio.create_task(stage.metrics.keep(state))
        await asyncio.sleep(0)
        assert not keeping.done()
        keeping.cancel()

    asyncio.run(once())


def test_the_risk_ratio_is_a_number_once_it_was_measured(tmp_path: Path) -> None:
    """Half of what is allowed is above 0.4."""
    stage = Stage(tmp_path)
    assert stage.metrics.all()["risk_ratio_warns"] == 0
    assert "risk_ratio_p95" not in stage.metrics.all()
    assert stage.desk.runner.risk is not None
    stage.desk.runner.risk.watch.used(50_000.0)
    assert stage.metrics.all()["risk_ratio_p95"] == 0.5
    assert stage.metrics.all()["risk_ratio_warns"] == 1
