"""What has to be proven before real money trades: the gate, and how the proofs are made."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.config import BacktestConfig, ConfigError
from mmbot.ops import launch
from mmbot.ops.cancel_proof import Took, cancelled
from mmbot.ops.launch import ALARM_ROUTE, CANCEL_ALL, check_launch, keep_proof, launch_findings
from mmbot.ops.proving import NotProvenError, acknowledge, prove_alarms, prove_cancel_all
from mmbot.ops.trade import trade
from mmbot.wiring import Mode, Trading

NOW, HOUR = 1_800_000_000_000_000_000, 3_600_000_000_000


def proven(folder: Path, **ages_h: float) -> Path:
    """Both proofs, so many hours old."""
    for name, age in {CANCEL_ALL: 1.0, ALARM_ROUTE: 1.0, **ages_h}.items():
        keep_proof(folder, name, NOW - round(age * HOUR), "done")
    return folder


def failing(folder: Path, now: int = NOW) -> list[str]:
    """Proofs that do not count."""
    return [finding.check for finding in launch_findings(folder, now) if finding.status != "PASS"]


def test_live_is_closed_until_everything_is_proven(tmp_path: Path) -> None:
    """Each proof that is missing is named, with the command that makes it."""
    with pytest.raises(ConfigError, match=r"cancel-all: .*prove-cancel-all.*alarm-route: .*prove-alarms"):
        check_launch(tmp_path, NOW)
    keep_proof(tmp_path, CANCEL_ALL, NOW, "done")
    assert failing(tmp_path) == [ALARM_ROUTE]
    keep_proof(tmp_path, ALARM_ROUTE, NOW, "done")
    check_launch(tmp_path, NOW)


@pytest.mark.parametrize(
    ("name", "age_h", "counts"),
    [
        (CANCEL_ALL, 48.0, True),
        (CANCEL_ALL, 48.001, False),
        (CANCEL_ALL, -0.001, False),
        (ALARM_ROUTE, 168.0, True),
        (ALARM_ROUTE, 168.001, False),
    ],
)
def test_a_proof_grows_old(name: str, age_h: float, counts: bool, tmp_path: Path) -> None:
    """48 hours for the cancel-all, a week for the alarms; one from the future is none."""
    assert failing(proven(tmp_path, **{name: age_h})) == ([] if counts else [name])


@pytest.mark.parametrize("spoiled", ["", "{", "[]", "{}", '{"at": 1}', "null"])
def test_a_proof_that_cannot_be_read_is_none(spoiled: str, tmp_path: Path) -> None:
    """Whatever is wrong with it."""
    (proven(tmp_path) / "proofs" / "cancel-all.json").write_text(spoiled)
    assert failing(tmp_path) == [CANCEL_ALL]


def test_another_build_or_another_proof_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was proven of other code says nothing of this."""
    proofs = proven(tmp_path) / "proofs"
    (proofs / "alarm-route.json").write_bytes((proofs / "cancel-all.json").read_bytes())
    assert failing(tmp_path) == [ALARM_ROUTE]
    monkeypatch.setattr(launch, "build_hash", lambda: "another")
    assert failing(tmp_path) == [CANCEL_ALL, ALARM_ROUTE]


def test_a_live_run_asks_the_gate_before_anything_else(tmp_path: Path) -> None:
    """No folder, no session, no order."""
    words = {
        "instruments": [{"tape": "sample:btcusdt", "limits": {"position": "1", "order": "0.1"}}],
        "strategy": {"name": "join_touch"},
        "session": {"environment": "mainnet", "folder": str(tmp_path / "runs")},
    }
    config = BacktestConfig.model_validate(words)
    assert config.session is not None
    wiring = Trading(mode=Mode.LIVE, session=config.session, share=Fraction(1, 10), credentials=None)
    watcher: Any = None
    with pytest.raises(ConfigError, match="no override opens this"):
        asyncio.run(trade(config, wiring, watcher, stop=asyncio.Event()))
    assert not (tmp_path / "runs").exists()


# ---- the cancel-all


def taking(healthy: float, blackholed_s: float) -> Any:
    """A cancel-all that takes so long at its slowest."""

    async def measured(times: int, *, blackholed: bool) -> list[Took]:
        return [Took(0.0, 0.1)] * (times - 1) + [Took(0.0, blackholed_s if blackholed else healthy)]

    return measured


@pytest.mark.parametrize(
    ("healthy", "blackholed", "said"),
    [(2.0, 10.0, None), (2.01, 10.0, "healthy: .*2.01"), (2.0, 10.01, "rest blackholed: .*10.01")],
)
def test_the_slowest_cancel_all_counts(healthy: float, blackholed: float, said: str | None, tmp_path: Path) -> None:
    """2 s, and 10 s with REST gone; one that is slower takes an earlier proof away."""
    proven(tmp_path)
    proof = prove_cancel_all(tmp_path, lambda: NOW, taking(healthy, blackholed))
    if said is None:
        assert "slowest healthy 2.00 s" in asyncio.run(proof)
        assert failing(tmp_path) == []
    else:
        with pytest.raises(NotProvenError, match=said):
            asyncio.run(proof)
        assert failing(tmp_path) == [CANCEL_ALL]


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_real_cancel_all_proves_itself(tmp_path: Path) -> None:
    """On the exchange server, by the venue's own books."""
    asyncio.run(prove_cancel_all(tmp_path, lambda: NOW, cancelled))
    kept = json.loads((tmp_path / "proofs" / "cancel-all.json").read_bytes())
    assert set(kept["slowest_s"]) == {"healthy", "rest blackholed"}
    assert failing(tmp_path) == [ALARM_ROUTE]


# ---- the alarm


class Route:
    """A person at the end of the route, who acknowledges what arrives after so many looks; None: never."""

    def __init__(self, folder: Path, answers_after: int | None) -> None:
        self.folder, self.answers_after, self.now = folder, answers_after, NOW
        self.heard: list[dict[str, object]] = []

    async def pause(self, seconds: float) -> None:
        """A second goes by."""
        self.now += HOUR // 3_600
        waited = (self.now - NOW) // 10**9
        if waited == self.answers_after:
            done = CliRunner().invoke(
                app, ["launch", "seen", str(self.heard[-1]["id"]), "--by", "ada", "--runs", str(self.folder)]
            )
            assert done.exit_code == 0, done.output

    def prove(self) -> str:
        """Raise it, and wait."""
        return asyncio.run(prove_alarms(self.folder, lambda: self.now, self.heard.append, pause=self.pause))


@pytest.mark.parametrize(("after", "counts"), [(3, True), (60, True), (61, False), (None, False)])
def test_an_alarm_has_to_reach_a_person_within_a_minute(after: int | None, counts: bool, tmp_path: Path) -> None:
    """The event is that of a run; the proof names who heard it. Without, an earlier proof is gone."""
    route = Route(proven(tmp_path), after)
    if counts:
        assert "ada acknowledged" in route.prove()
        [event] = route.heard
        assert (event["event"], event["level"], event["name"]) == ("alarm", "P1", "alarm-route")
        assert failing(tmp_path, route.now) == []
    else:
        with pytest.raises(NotProvenError, match="nobody acknowledged"):
            route.prove()
        assert failing(tmp_path) == [ALARM_ROUTE]


def test_a_test_that_nobody_answered_does_not_stand_in_the_way_of_the_next(tmp_path: Path) -> None:
    """Its alarm is closed, and acknowledging it now proves nothing."""
    first, second = Route(tmp_path, None), Route(tmp_path, 5)
    with pytest.raises(NotProvenError):
        first.prove()
    second.now = first.now
    with pytest.raises(NotProvenError, match="nobody acknowledged"):
        second.prove()
    with pytest.raises(NotProvenError, match="no test alarm"):
        acknowledge(tmp_path, str(first.heard[0]["id"]), "ada")
    with pytest.raises(ValueError, match="who"):
        acknowledge(tmp_path, str(second.heard[0]["id"]), " ")


def test_the_commands_say_what_is_missing(tmp_path: Path) -> None:
    """Exit code 1 until everything is proven, and for an alarm that nobody raised."""
    runs = ["--runs", str(tmp_path)]
    done = CliRunner().invoke(app, ["launch", "check", *runs])
    assert (done.exit_code, done.output.count("FAIL")) == (1, 2)
    done = CliRunner().invoke(app, ["launch", "seen", "0123abcd", "--by", "ada", *runs])
    assert done.exit_code == 1
    assert "no test alarm" in done.output
