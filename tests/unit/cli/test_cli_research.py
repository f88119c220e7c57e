"""`mmbot walkforward` and `mmbot edge audit` from the outside: what they print, what they leave, how they fail."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app, progress

CONFIG = """
sample_ms = 100
markout = "1s"

[[instruments]]
tape = "sample:bybit-btcusdt"
limits = { position = "1", order = "1" }

[strategy]
name = "join_touch"
"""


def run(*words: object) -> tuple[int, str]:
    """Exit code and everything printed."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"MM_FREEZE_UTC": "1"})
    return result.exit_code, result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Forty seconds of a recorded market, joined at the touch."""
    path = tmp_path / "backtest.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def test_a_walk_prints_its_table_and_leaves_its_json(config: Path, tmp_path: Path) -> None:
    """Two folds, two candidates: a line each, and the file holds what --json prints."""
    words = ["walkforward", config, "--folds", 2, "--grid", "cap_lots=1,5", "--warmup-s", 1]
    code, table = run(*words, "--out", tmp_path / "deep/walk.json")
    assert code == 0
    assert "2 folds, 2 candidates" in table
    assert "together" in table
    code, text = run(*words, "--json")
    assert code == 0
    assert text == (tmp_path / "deep/walk.json").read_text(encoding="utf-8")
    assert sorted(json.loads(text)["candidates"]) == ["cap_lots=1", "cap_lots=5"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "cap_lots"], "expected name=value"),
        (["--grid", "cap=1"], "'cap' is no key of JoinTouchConfig"),
        (["--grid", "cap_lots=1", "--folds", "0"], "walk_forward: folds"),
        (["--grid", "cap_lots=1", "--select", "luck"], "walk_forward: select"),
        (["--grid", "cap_lots=1", "--folds", "900"], "use fewer folds"),
    ],
)
def test_a_walk_that_cannot_be_is_one_line_and_exit_code_one(config: Path, words: list[str], said: str) -> None:
    """No traceback: the line says what was wrong and what to write."""
    code, text = run("walkforward", config, *words)
    assert code == 1
    assert text.startswith("error: ")
    assert said in text
    assert "Traceback" not in text


def test_an_audit_prints_its_table_and_leaves_its_json(tmp_path: Path) -> None:
    """A maker who buys one bp below the mid has a gross and a net of +1."""
    trades, quotes = tmp_path / "trades.jsonl", tmp_path / "quotes.jsonl"
    trades.write_text(
        '{"symbol":"A","side":"buy","price":99.99,"qty":1,"mid_before":100,"mid_after_1s":100,"fee_bps":0,"ts_ms":5}\n',
        encoding="utf-8",
    )
    quotes.write_text('{"symbol":"A","ts_ms":1,"best_bid":99.9,"best_ask":100.1}\n', encoding="utf-8")
    code, table = run("edge", "audit", trades, quotes, "--out", tmp_path / "deep/edge.json")
    assert (code, "+1.000" in table) == (0, True)
    code, text = run("edge", "audit", trades, quotes, "--json")
    assert code == 0
    assert text == (tmp_path / "deep/edge.json").read_text(encoding="utf-8")
    assert json.loads(text)["totals"]["portfolio"]["net_bps"] == 1.0


def test_an_audit_that_cannot_be_is_one_line_and_exit_code_one(tmp_path: Path) -> None:
    """A missing file, a bad line, and quotes beside the folder of a run."""
    bad = tmp_path / "trades.jsonl"
    bad.write_text("{}\n", encoding="utf-8")
    for words, said in [
        ([tmp_path / "none.jsonl"], "No such file"),
        ([bad], "trades.jsonl:1: "),
        ([tmp_path], "expected a folder that a backtest wrote"),
        ([tmp_path, bad], "which knows its own market"),
    ]:
        code, text = run("edge", "audit", *words)
        assert code == 1
        assert text.startswith("error: ")
        assert said in text


def test_a_bar_is_shown_to_who_watches_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe, or when it is not wanted, there is nothing to tell."""
    with progress.shown("walking", wanted=True) as tell:
        assert tell is None
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    with progress.shown("walking", wanted=False) as tell:
        assert tell is None
    with progress.shown("walking", wanted=True) as tell:
        assert tell is not None
        tell(0.5)
