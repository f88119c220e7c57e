"""The comparison as a whole: what a failing case, a missing peer or a disagreement does to it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benches import compare, environments
from benches.cases import Case, CaseFailed, last_line
from benches.environments import Environment, PeerMissing
from benches.peers.measure import mapped_mb, peak_rss_mb, warm
from rich.console import Console

from mmbot._core import Tape
from mmbot.samples import sample_path


def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, program: str) -> Case:
    """A case whose process is `program`."""
    (tmp_path / f"{name}.py").write_text(program, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Case(module=name, environment=None, tape="x1", arguments=())


def test_a_case_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The run goes on; the failed case is a row with its own words, the others have all their rounds."""
    row = json.dumps({"engine": "fine", "case": "mm", "cpu_s": 1.0})
    cases = [
        case(tmp_path, monkeypatch, "bench_breaks", "raise ValueError('no such tape')"),
        case(tmp_path, monkeypatch, "bench_works", f"print('{row}')"),
    ]
    rows, raw = compare.measured(cases, 2, Console(quiet=True))
    assert "no such tape" in rows[0]["failed"]
    assert rows[1]["cpu_s"] == 1.0
    assert [row["engine"] for row in raw] == ["fine", "fine"]


def test_rounds_that_end_differently_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two rounds of one case with other fills cannot be averaged: the case is reported, not its median."""
    program = "import json, os\nprint(json.dumps({'engine': 'odd', 'cpu_s': 1.0, 'fills': os.getpid()}))"
    rows, _ = compare.measured([case(tmp_path, monkeypatch, "bench_odd", program)], 2, Console(quiet=True))
    assert "ended differently" in rows[0]["failed"]


@pytest.mark.parametrize(
    ("program", "complaint"),
    [("raise SystemExit(3)", "ended with 3"), ("print('done')", "line of JSON"), ("pass", "line of JSON")],
)
def test_a_process_without_a_result_is_named(program: str, complaint: str):
    """A process that fails, or that says nothing, is named with the reason."""
    with pytest.raises(CaseFailed, match=complaint):
        last_line([sys.executable, "-c", program])


def test_an_interrupt_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C ends the rounds: the case that had one is reported, the one that had none is said to be unmeasured."""
    cases = [case(tmp_path, monkeypatch, "bench_first", ""), case(tmp_path, monkeypatch, "bench_second", "")]

    def run(self: Case) -> dict[str, object]:
        if self.module == "bench_second":
            raise KeyboardInterrupt
        return {"engine": "first", "cpu_s": 1.0}

    monkeypatch.setattr(Case, "run", run)
    rows, raw = compare.measured(cases, 3, Console(quiet=True))
    assert rows[0]["cpu_s"] == 1.0
    assert rows[1]["failed"] == "not measured"
    assert len(raw) == 1


def test_rounds_are_summed_up_by_their_median():
    """Medians for what is measured, the smallest of the smallest, and the outcome that all rounds share."""
    rounds = [{"fills": 7, "cpu_s": s, "cpu_s_min": s, "rss_mb": 50} for s in (1.0, 9.0, 2.0)]
    assert compare.merged(rounds) == {"fills": 7, "cpu_s": 2.0, "cpu_s_min": 1.0, "rss_mb": 50}


def test_engines_that_end_with_another_book_are_told():
    """Equal ends are silent; another best bid on the same tape is a complaint that names both engines."""
    a = {"engine": "a", "case": "mm", "tape": "x1", "bid": 1.0, "ask": 2.0}
    b = a | {"engine": "b", "bid": 0.5}
    assert compare.check_same_end([a, a | {"engine": "c"}, b | {"tape": "x12"}]) == []
    (complaint,) = compare.check_same_end([a, b])
    assert "a mm" in complaint
    assert "b mm" in complaint


def test_ratios_are_taken_on_one_tape():
    """The factor over the peer is of CPU seconds of the same tape, and a share of 64 runs is a percentage."""
    own = {"engine": "mmbot", "tape": "x12", "state": "warm", "wakes": 1_000}
    rows = [
        {"engine": "hftbacktest", "case": "mm roi risk", "tape": "x12", "state": "warm", "cpu_s": 0.5},
        {"engine": "hftbacktest", "case": "mm roi risk", "tape": "small", "state": "warm", "cpu_s": 99.0},
        own | {"case": "native risk", "cpu_s": 0.02},
        own | {"case": "mm risk", "cpu_s": 0.05},
        own | {"case": "sweep risk", "cpu_s": 1.6},
        {"engine": "nautilus", "skipped": "no interpreter"},
        {"engine": "mmbot_run x12", "tape": "x12", "failed": "no memory"},
    ]
    figures = compare.derived(rows)
    assert figures["x12: replay with the strategy in Python, times hftbacktest"] == pytest.approx(10)
    assert figures["x12: Python added to a wake every 100 ms, ns"] == pytest.approx(30_000)
    assert figures["x12: 64 in one pass, Python, % of 64 runs of hftbacktest"] == pytest.approx(5)
    assert not any(name.startswith("small") for name in figures)


def test_a_missing_interpreter_is_a_reason_not_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where no Python is new enough, the peer is missing and the message says what was looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(PeerMissing, match=r"no Python 9\.9 or newer"):
        environments.interpreter((9, 9))


def test_a_name_that_leads_nowhere_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shim on the path that cannot start is no interpreter; the one behind it that starts is taken."""
    for name, code in (("python3.13", 127), ("python3.12", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", None)
    assert environments.interpreter((3, 12)) == str(tmp_path / "python3.12")


def test_a_half_made_environment_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Only the stamp of today's pins makes an environment ready; an interpreter alone was left half made."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    peer = Environment(name="hftbacktest", least_python=(3, 11))
    peer.python.parent.mkdir(parents=True)
    peer.python.touch()
    assert not peer.is_ready()
    (peer.folder / "made-from").write_text("another pin", encoding="utf-8")
    assert not peer.is_ready()
    (peer.folder / "made-from").write_text(peer.requirements.read_text(encoding="utf-8"), encoding="utf-8")
    assert peer.is_ready()


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The installer's own first words reach the reader, and nothing is left that would count as ready."""
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'error: no route to the index' >&2\nexit 2\n", encoding="utf-8")
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "peers")
    monkeypatch.setenv("PATH", str(tmp_path))
    peer = Environment(name="hftbacktest", least_python=(3, 11))
    with pytest.raises(PeerMissing, match="no route to the index"):
        peer.ensure()
    assert not peer.is_ready()


def test_two_replays_that_differ_are_refused():
    """A warm measurement repeats one thing; if the outcome changes it measured two."""
    outcomes = iter([{"fills": 1}, {"fills": 2}])
    with pytest.raises(RuntimeError, match="two replays of one tape differ"):
        warm(lambda: None, lambda _: next(outcomes), 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_mapped_tape_is_told_apart_from_memory(tmp_path: Path):
    """A file that nobody mapped counts nothing; an open tape that was read counts at most its size."""
    opened = tmp_path / "open.tape"
    Tape.open(sample_path("bybit-btcusdt")).save(opened)
    assert mapped_mb(opened) == 0
    tape = Tape.open(opened)
    tape.check()
    assert 0 < mapped_mb(opened) <= os.path.getsize(opened) / 2**20 + 0.1
    assert mapped_mb(opened) < peak_rss_mb()


def test_the_command_explains_itself():
    """`python -m benches --help` names every option, without measuring anything."""
    root = Path(compare.__file__).parents[1]
    told = subprocess.run(
        [sys.executable, "-m", "benches", "--help"], cwd=root, capture_output=True, text=True, check=True
    )
    for option in ("--quick", "--rounds", "--only", "--tape"):
        assert option in told.stdout
