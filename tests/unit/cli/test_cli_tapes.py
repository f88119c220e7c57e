"""`mmbot data` from the outside: what it prints, what it leaves, how it fails."""

from pathlib import Path

import msgspec
from typer.testing import CliRunner

from mmbot import samples
from mmbot.cli.tapes import app

GOLDEN = Path(__file__).parents[2] / "golden" / "captures"
BINANCE = str(GOLDEN / "binance-usdm-btcusdt.gz")


def run(*words: object) -> tuple[int, str]:
    """Exit code and everything printed."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_import_writes_the_tape_and_its_report(tmp_path: Path) -> None:
    """A capture becomes a tape that checks, with the JSON report beside it."""
    out = tmp_path / "btc.tape"
    code, text = run("import", BINANCE, "--out", out, "--from", "binance-usdm")
    report = msgspec.json.decode(Path(f"{out}.report.json").read_bytes())
    assert (code, report["gaps"], report["snapshots"]) == (0, 0, 1)
    assert report["tape_hash"] in text
    assert run("check", out) == (0, f"{out}: intact, {report['events']} events, hash {report['tape_hash']}\n")


def test_bybit_import_makes_one_tape_per_instrument(tmp_path: Path) -> None:
    """The target is a directory."""
    code, _ = run("import", GOLDEN / "bybit-btcusdt.jsonl.zst", "--out", tmp_path / "b", "--from", "bybit", "--packed")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "b").glob("*.tapez")) == [
        "bybit-linear-BTCUSDT.tapez",
        "bybit-spot-BTCUSDT.tapez",
    ]


def test_a_shanghai_log_becomes_a_tape_by_order(tmp_path: Path) -> None:
    """Its orders are shown; without the day, or with two logs, the message says what to give."""
    log, out = GOLDEN / "sse-600519.log.zst", tmp_path / "s.tapez"
    words = ["import", log, "--out", out, "--from", "sse-l3", "--symbol", "600519"]
    assert run(*words, "--day", "2023-02-07")[0] == 0
    assert "execute" in run("head", out, "--rows", "orders", "-n", 3_000)[1]
    assert run(*words) == (1, "error: an SSE log does not say its day; give it with --day YYYY-MM-DD\n")
    assert "is one file, got 2" in run(*words, log, "--day", "2023-02-07")[1]


def test_info_head_and_convert_show_and_copy(tmp_path: Path) -> None:
    """A sample is described, its first rows are shown, and its open form is written."""
    path = samples.sample_path("bybit-btcusdt")
    assert "7236" in run("info", path)[1]
    for rows in ("depth", "levels", "trades", "touch", "funding", "orders"):
        assert run("head", path, "--rows", rows, "-n", 2)[0] == 0
    assert run("convert", path, tmp_path / "x.tape")[0] == 0
    assert run("check", tmp_path / "x.tape")[0] == 0


def test_faults_are_one_line_and_exit_code_one(tmp_path: Path) -> None:
    """A foreign file, a wrong name, an unknown grid or profile: no traceback, one line that says what to do."""
    (tmp_path / "x").write_bytes(b"something else")
    path = samples.sample_path("bybit-btcusdt")
    target = ["--out", tmp_path / "o.tape", "--from", "binance-usdm"]
    for words, said in [
        (["check", tmp_path / "x"], "not a tape"),
        (["info", tmp_path / "no"], "No such file"),
        (["convert", path, tmp_path / "x.csv"], "must end in .tape or .tapez"),
        (["import", BINANCE, *target, "--symbol", "ABC"], "give its tick and lot"),
        (["import", BINANCE, *target, "--fees", "none"], "known: "),
        (["import", BINANCE, BINANCE, "--out", tmp_path, "--from", "bybit"], "one by one"),
    ]:
        code, text = run(*words)
        assert (code, text.count("\n")) == (1, 1), text
        assert text.startswith("error: ")
        assert said in text


def test_a_wrong_command_line_is_exit_code_two() -> None:
    """Typer's own refusal."""
    assert run("head", "x", "--rows", "quotes")[0] == 2
