"""`mmbot debug repro`: a recorded case is done again and made small, from the command line down."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.simulation.campaign import hunt
from mmbot.simulation.shrink import write_case


def asked(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    done = CliRunner().invoke(app, ["debug", "repro", *words])
    return done.exit_code, done.output


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_failing_case_says_its_reason_and_shrinks_to_the_same_small_one_each_time(tmp_path: Path) -> None:
    """Exit 1 with the promise that broke; the small case breaks the same one, and its steps are listed."""
    _, caught = hunt("silence is a no", most=200)
    assert caught is not None
    case = write_case(caught, tmp_path / "case.jsonl")
    code, said = asked("run", str(case))
    assert code == 1
    reason = json.loads(said)["reason"]
    written = []
    for name in ("a", "b"):
        out, story = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.md"
        words = ("minimise", "--events", str(case), "--out-jsonl", str(out), "--out-md", str(story))
        assert asked(*words)[0] == 0
        written.append((out.read_bytes(), story.read_bytes()))
    assert written[0] == written[1]
    assert "Steps of the shrinking:\n\n- " in written[0][1].decode()
    assert len(written[0][0].splitlines()) <= len(case.read_bytes().splitlines())
    code, said = asked("run", str(tmp_path / "a.jsonl"))
    assert (code, json.loads(said)) == (1, {"fail": True, "reason": reason})


@pytest.mark.parametrize(
    ("text", "said"), [("", 'no line of type "case"'), ('{"type": "rain"}', "unknown fault 'rain'")]
)
def test_a_file_that_is_no_case_is_one_clear_line(text: str, said: str, tmp_path: Path) -> None:
    """With its line and what was expected; exit 1, for running and for shrinking."""
    case = tmp_path / "case.jsonl"
    case.write_text(text, encoding="utf-8")
    for words in (("run", str(case)), ("minimise", "--events", str(case))):
        code, told = asked(*words)
        assert code == 1
        assert said in told
        assert "Traceback" not in told


def test_a_fault_of_a_symbol_that_is_not_traded_is_one_clear_line(tmp_path: Path) -> None:
    """Which fault, which symbol, and what this seed trades; also where it names none."""
    case = tmp_path / "case.jsonl"
    head = '{"type": "case", "seed": 1, "profile": "mixed", "bugs": [], "promise": "P6"}\n'
    for symbol, shown in (("DOGEUSDT", "'DOGEUSDT'"), ("", "'no symbol'")):
        fault = {"type": "burst", "ts_ms": 9_000, "for_ms": 1, "size": 0.5, "number": 0, "symbol": symbol}
        case.write_text(head + json.dumps(fault) + "\n", encoding="utf-8")
        code, told = asked("run", str(case))
        assert code == 1
        assert f"burst at 9000 ms is of {shown}; this world trades BTCUSDT" in told
        assert "Traceback" not in told


def test_a_case_that_breaks_nothing_is_not_shrunk(tmp_path: Path) -> None:
    """There is no reason to keep."""
    case = tmp_path / "case.jsonl"
    case.write_text('{"type": "case", "seed": 1, "profile": "mixed", "bugs": [], "promise": ""}\n', encoding="utf-8")
    assert json.loads(asked("run", str(case))[1]) == {"fail": False, "reason": ""}
    code, said = asked("minimise", "--events", str(case))
    assert code == 1
    assert "nothing to shrink" in said
