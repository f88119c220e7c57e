"""`mmbot run` as it is typed: the exchange starts with it, Ctrl-C ends it in order, and the report is there."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mmbot.config.session import ExchangeConfig
from mmbot.runtime.embedded import EmbeddedExchange
from mmbot.strategies import find_strategy
from mmbot.venues.port import VenueError

ROOT = Path(__file__).parents[2]
MMBOT = [sys.executable, "-m", "mmbot"]


def faster(folder: Path) -> Path:
    """The shipped configuration, its market four times as fast."""
    text = (ROOT / "configs/paper.toml").read_text(encoding="utf-8")
    assert "speed = 1\n" in text
    path = folder / "paper.toml"
    path.write_text(text.replace("speed = 1\n", "speed = 4\n"), encoding="utf-8")
    return path


@pytest.mark.timeout(90)
def test_a_terminal_that_is_closed_ends_a_run_in_order(tmp_path: Path):
    """The hang-up of a lost connection is a stop as Ctrl-C is: no order left, a report, exit code 0."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--json", "--out", str(tmp_path / "runs")]
    events = interrupted(words, fills=1, by=signal.SIGHUP)
    assert [event["open_orders"] for event in events if event["event"] == "left"] == [0]
    assert events[-1]["failure"] is None


@pytest.mark.timeout(90)
def test_ctrl_c_ends_a_run_with_no_order_left(tmp_path: Path):
    """Events for machines from the first to the last; after the signal: zero open orders, a report, exit code 0."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--json", "--out", str(tmp_path / "runs")]
    events = interrupted(words, fills=3)
    names = [event["event"] for event in events]
    assert names[0] == "attested"
    assert names[-1] == "ended"
    assert [event["open_orders"] for event in events if event["event"] == "left"] == [0]
    asked = {event["correlation_id"] for event in events if event["event"] == "request" and event["request"] == "place"}
    filled = {event["correlation_id"] for event in events if event["event"] == "fill"}
    assert filled
    assert filled <= asked
    check_ended(events[-1])


def test_a_killed_run_leaves_no_exchange_behind(tmp_path: Path):
    """Nobody is there to end it: it ends with the pipe that the bot held, within two seconds."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--json", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (exchange,) = children(process.pid)
        watched = os.pidfd_open(exchange)
        process.kill()
    try:
        assert select.select([watched], [], [], 2.0)[0], f"exchange {exchange} outlived its run"
    finally:
        os.close(watched)


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text(encoding="ascii").split()]


def interrupted(words: list[str], *, fills: int, by: int = signal.SIGINT) -> list[dict[str, Any]]:
    """Start a run, end it by a signal at its n-th fill, and return its events; nothing else is said."""
    events: list[dict[str, Any]] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            events.append(json.loads(line))
            if events[-1]["event"] == "fill" and sum(event["event"] == "fill" for event in events) == fills:
                process.send_signal(by)
        assert (process.wait(30), process.stderr.read()) == (0, "")
    return events


def check_ended(ended: dict[str, Any]) -> None:
    """The run did not fail, its report is of a paper run, and its journal can be done again."""
    folder = Path(ended["folder"])
    assert ended["failure"] is None
    assert ended["summary"]["run"]["mode"] == "paper"
    report = (folder / "report/report.html").read_text(encoding="utf-8")
    assert "as the venue executed them (simulator)" in report
    assert (folder / "exchange.log").read_text(encoding="utf-8") == ""
    verified(folder)


@pytest.mark.timeout(60)
def test_a_duration_ends_it_too_and_a_pipe_gets_lines(tmp_path: Path):
    """Without a terminal there are lines: the state, where the report is, what to type next."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--duration", "3", "--out", str(tmp_path / "runs")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert "quoting" in done.stdout
    assert "BTCUSDT: 0 open orders of ours at the venue" in done.stdout
    assert "--verify" in done.stdout.splitlines()[-1]


@pytest.mark.timeout(60)
def test_a_run_of_a_users_own_file_is_done_again_from_elsewhere(tmp_path: Path):
    """The journal says where the run was started, so its strategy's file is found from any other folder."""
    shipped = tomllib.loads(faster(tmp_path).read_text(encoding="utf-8"))["strategy"]["name"]
    config = tmp_path / "paper.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(f'name = "{shipped}"', 'name = "own.py:Own"'), encoding="utf-8")
    made = find_strategy(shipped).strategy.__name__
    (tmp_path / "own.py").write_text(f"from mmbot.strategies import {made}\n\n\nclass Own({made}): ...\n")
    words = [*MMBOT, "run", "paper.toml", "--duration", "2", "--out", "runs"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [journal] = (tmp_path / "runs").glob("*/journal.mmj")
    again = [*MMBOT, "replay", str(journal), "--verify"]
    found = subprocess.run(again, capture_output=True, text=True, check=False, cwd=tmp_path / "runs")
    assert found.returncode == 0, found.stdout + found.stderr


def test_an_exchange_that_does_not_come_up_says_why(tmp_path: Path):
    """It prints its reason and ends; the start raises that reason and the command to try it alone."""
    market = ExchangeConfig(market="tape")
    with pytest.raises(VenueError, match=r"did not start: .*nothing.* Try it alone: mmbot exchange"):
        asyncio.run(EmbeddedExchange.start(market, ["sample:nothing"], tmp_path / "exchange.log"))


def test_a_tape_that_is_not_there_is_one_clear_line(tmp_path: Path):
    """The run says which, and begins nothing."""
    config = tmp_path / "paper.toml"
    text = (ROOT / "configs/paper.toml").read_text(encoding="utf-8")
    config.write_text(text.replace("sample:btcusdt", "sample:nothing"), encoding="utf-8")
    done = subprocess.run(
        [*MMBOT, "run", str(config), "--out", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "nothing" in done.stderr


def test_a_venue_that_does_not_answer_is_one_clear_line(tmp_path: Path):
    """Nobody listens at the address: the line names what was asked for, there is no traceback, and nothing ran."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    config = tmp_path / "paper.toml"
    text = (ROOT / "configs/paper.toml").read_text(encoding="utf-8")
    config.write_text(text.replace('# url = "http://127.0.0.1:8765"', f'url = "{url}"'), encoding="utf-8")
    keys = {"MMBOT_BYBIT_API_KEY": "mmsim-key", "MMBOT_BYBIT_API_SECRET": "SENTINEL-secret"}
    done = subprocess.run(
        [*MMBOT, "run", str(config), "--out", str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **keys},
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("error: GET /v5/market/time: no usable answer")
    assert "SENTINEL" not in done.stderr


@pytest.mark.timeout(60)
def test_a_reader_that_leaves_takes_the_view_and_not_the_run(tmp_path: Path):
    """The pipe is closed after the first line: the run trades on, ends in order and says where it is."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--duration", "4", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert "the view was lost" in process.stderr.read()
    (folder,) = (tmp_path / "runs").glob("*-paper")
    assert (folder / "report/report.html").exists()
    done = subprocess.run([*MMBOT, "replay", str(folder / "journal.mmj"), "--verify"], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.timeout(90)
def test_an_exchange_that_is_killed_ends_the_run_at_once(tmp_path: Path):
    """Within seconds one line says that the venue is gone and where to look; exit code 1, and no process is left."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--json", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until_told(process, "fill")
        (exchange,) = children(process.pid)
        os.kill(exchange, signal.SIGKILL)
        killed = time.monotonic()
        until_told(process, "stopping")
        took = time.monotonic() - killed
        shown, complaints = process.communicate(timeout=30)
    (folder,) = (tmp_path / "runs").glob("*-paper")
    said = f"the embedded exchange is gone (SIGKILL), and every order with it; see {folder / 'exchange.log'}"
    assert (process.returncode, complaints) == (1, f"error: VenueError: {said}\n")
    assert took < 5
    events = [json.loads(line) for line in shown.splitlines()]
    assert events[-1]["failure"] == f"VenueError: {said}"
    assert [event for event in events if event["event"] == "left"] == []
    assert not Path(f"/proc/{exchange}").exists()
    assert "killed" not in verified(folder)


@pytest.mark.timeout(60)
def test_a_bot_that_is_killed_leaves_a_journal_that_verifies_and_no_exchange(tmp_path: Path):
    """SIGKILL in the middle of a run: what was decided and sent until then is found again from journal and tapes."""
    words = [*MMBOT, "run", str(faster(tmp_path)), "--json", "--out", str(tmp_path / "runs")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until_told(process, "fill")
        (exchange,) = children(process.pid)
        watched = os.pidfd_open(exchange)
        process.kill()
        process.communicate()
    try:
        assert select.select([watched], [], [], 5.0)[0], f"exchange {exchange} outlived its run"
    finally:
        os.close(watched)
    (folder,) = (tmp_path / "runs").glob("*-paper")
    assert [path.suffix for path in (folder / "tapes").iterdir()] == [".live"]
    assert "killed" in verified(folder)


@pytest.mark.timeout(90)
def test_a_shadow_run_listens_to_an_exchange_of_its_own(tmp_path: Path):
    """The shipped configuration can be shadowed as it is: no key is read, a recording and a summary are there."""
    out = tmp_path / "shadow"
    words = [*MMBOT, "run", str(faster(tmp_path)), "--mode", "shadow", "--duration", "1", "--out", str(out)]
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["iterations"] == 1
    assert [path.name for path in (out / "tapes").iterdir()] == ["linear-BTCUSDT.tape"]
    assert (out / "exchange.log").read_text(encoding="utf-8") == ""


@pytest.mark.timeout(90)
def test_a_shadow_run_whose_exchange_is_killed_ends_and_finishes_its_recording(tmp_path: Path):
    """The last line says that the venue is gone; exit code 1, and the tape is sealed."""
    out = tmp_path / "shadow"
    words = [*MMBOT, "run", str(faster(tmp_path)), "--mode", "shadow", "--out", str(out)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.glob("tapes/*")):
            with pytest.raises(subprocess.TimeoutExpired):  # it goes on
                process.wait(0.1)
        (exchange,) = children(process.pid)
        os.kill(exchange, signal.SIGKILL)
        _, complaints = process.communicate(timeout=30)
    said = f"error: the embedded exchange is gone (SIGKILL), and every order with it; see {out / 'exchange.log'}"
    assert (process.returncode, complaints.splitlines()[-1]) == (1, said)
    assert [path.suffix for path in (out / "tapes").iterdir()] == [".tape"]


def until_told(process: subprocess.Popen[str], name: str) -> None:
    """Read the events of a run until there is one of that name."""
    assert process.stdout is not None
    while line := process.stdout.readline():
        if json.loads(line)["event"] == name:
            return
    raise AssertionError(f"the run ended, and told nothing of {name}")


def verified(folder: Path) -> str:
    """What `mmbot replay --verify` says of a run; it has to find everything equal."""
    words = [*MMBOT, "replay", str(folder / "journal.mmj"), "--verify"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all equal" in done.stdout
    return done.stdout
