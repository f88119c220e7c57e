"""`mmbot drill`: what breaks is saved as a small case, and played again with the same strategy, limits and controls."""

import json
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.simulation.scene import play

PAPER = str(Path(__file__).parents[3] / "configs" / "paper.toml")


def asked(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    done = CliRunner().invoke(app, [*words])
    return done.exit_code, done.output


@pytest.mark.timeout(60)
def test_what_breaks_is_saved_small_and_breaks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`drill --case`, `simulate --case` and `debug repro run` play the file with the configuration that it names."""
    bugs = ("sends before writing",)
    monkeypatch.setattr("mmbot.simulation.drill.play", partial(play, bugs=bugs))
    code, said = asked("drill", PAPER, "kill-at-place", "--seeds", "1", "--cases", str(tmp_path))
    assert code == 1
    assert "P1 broken" in said
    [case] = tmp_path.glob("drill-kill-at-place-seed*.jsonl")
    head = json.loads(case.read_text(encoding="utf-8").splitlines()[0])
    assert head["config"] == PAPER
    assert len(case.read_text(encoding="utf-8").splitlines()) < 11
    assert case.with_suffix(".md").exists()
    for words in (("drill", "--case", str(case)), ("drill", PAPER, "--case", str(case))):
        code, said = asked(*words)
        assert (code, "P1 broken" in said) == (1, True)
    code, said = asked("simulate", "--case", str(case))
    assert (code, "P1 broken" in said) == (1, True)
    code, said = asked("debug", "repro", "run", str(case))
    assert (code, json.loads(said)["reason"]) == (1, "P1")


def test_without_a_configuration_it_says_what_it_needs() -> None:
    """A usage error, and nothing is played."""
    code, said = asked("drill")
    assert (code, "name a configuration" in said) == (2, True)


def test_a_case_of_a_configuration_that_is_gone_is_one_clear_line(tmp_path: Path) -> None:
    """It names the file that is missing."""
    case = tmp_path / "case.jsonl"
    head = {"type": "case", "seed": 1, "profile": "quiet", "bugs": [], "promise": "P1", "config": "gone.toml"}
    case.write_text(json.dumps(head) + "\n", encoding="utf-8")
    code, said = asked("drill", "--case", str(case))
    assert code == 1
    assert "gone.toml" in said
    assert "Traceback" not in said
