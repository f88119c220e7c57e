"""`mmbot backtest` from the outside: what it prints and leaves, and one clear line for everything that is wrong."""

import json
import os
import random
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mmbot
from mmbot._core import Instrument, Tape, TapeWriter
from mmbot.cli import app
from mmbot.config import BacktestConfig, load

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "configs" / "backtest.toml"
PLAIN = """\
[[instruments]]
tape = "sample:ethusdt"
limits = {position = "1", order = "1"}
[strategy]
name = "join_touch"
params = {order_lots = 1, cap_lots = 5}
"""


def run(*words):
    """Exit code, standard output and standard error."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path):
    """Write a configuration; replacements change the plain one."""

    def write(*changes, text=PLAIN):
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def refused(tmp_path):
    """Run a configuration that must be refused in one line with exit code 1, leaving no report; give the line."""

    def line(path, out=tmp_path / "out"):
        code, said, complaint = run("backtest", path, "--out", out)
        assert (code, said) == (1, "")
        assert complaint.startswith("error: ")
        assert complaint.count("\n") == 1, complaint
        assert not (tmp_path / "out").exists()
        return complaint

    return line


def test_a_run_prints_its_summary_and_says_where_the_report_is(config, tmp_path):
    """Summary, report, frames and what to try next; the files are there and whole."""
    path = config()
    code, said, complaint = run("backtest", path, "--out", tmp_path / "out")
    assert (code, complaint) == (0, "")
    for expected in ("Net P&L", "Where the P&L came from", str(tmp_path / "out/report.html"), "first-strategy.md"):
        assert expected in said
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "equity.parquet", "fills.parquet", "orders.parquet", "report.html", "summary.json",
    ]  # fmt: skip


def test_json_is_the_summary_and_nothing_else(config, tmp_path):
    """What a program reads is one document, and the same numbers as in Python."""
    path = config()
    code, said, _ = run("backtest", path, "--out", tmp_path / "out", "--json")
    document = json.loads(said)
    result = mmbot.backtest(path)
    assert code == 0
    assert document["total"]["fills"]["count"] == result.fills.height
    assert document["run"]["run_id"] == result.run.run_id
    assert document["total"]["pnl"]["pnl"] == pytest.approx(result.attribution["total"].realised_pnl, rel=1e-8)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("sample:ethusdt", "nowhere.tape", "nowhere.tape"),
        ("sample:ethusdt", "sample:dogeusdt", "unknown sample 'dogeusdt'; known: btcusdt"),
        ('name = "join_touch"', 'name = "join_tuch"', "did you mean 'join_touch'?"),
        ('name = "join_touch"', 'name = "mine.py:Maker"', "no file mine.py"),
        ('name = "join_touch"', 'name = "json:Maker"', "json has no 'Maker'; it defines no strategy"),
        ("order_lots = 1", "order_lot = 1", "did you mean 'order_lots'?"),
        ("order_lots = 1", "order_lots = 9", "expected at most cap_lots"),
        ("order_lots = 1", "order_lots = 0", "strategy.params: order_lots"),
        ("order_lots = 1", 'order_lots = "two"', "strategy.params: order_lots"),
        ("limits =", "limit =", "did you mean 'limits'?"),
        ('order = "1"', 'order = "0"', "expected an order above zero and within position"),
        ('order = "1"', 'order = "2"', "order is 2 and position 1; expected"),
        ('order = "1"', 'order = "0.00005"', "limits of ETHUSDT: "),
        ('order = "1"', "order = 1.0", 'limits.order: write it in quotes: "1.0"'),
        ('position = "1"', "position = 0.2", 'limits.position: write it in quotes: "0.2"'),
        ('order = "1"', 'order = "-0.2"', "limits.order: must be a plain non-negative decimal"),
        ('order = "1"', 'order = "nan"', "limits.order"),
        ('position = "1"', 'position = "99999999999999999999999"', "of at most 18 digits"),
        ("[strategy]", "sample_ms = 9\n[strategy]", "'sample_ms' is no key of InstrumentConfig; expected one of"),
        ("[[inst", "sample_ms = 0\n[[inst", "sample_ms: Input should be greater than or equal to 1 (got 0)"),
        ("[[inst", "sample_ms = nan\n[[inst", "sample_ms: Input should be a finite number"),
        ("[[inst", "sample_ms = 1e300\n[[inst", "sample_ms: "),
        ("[[inst", "seed = -1\n[[inst", "seed: "),
        ("[[inst", "seed = 18446744073709551615\n[[inst", "seed: "),
        ("[[inst", 'markout = "5m"\n[[inst', "markout: Input should be '100ms', '1s'"),
        ("[[inst", "[[inst\n", "is no TOML"),
        ("limits =", "fees = {maker_bps = 2000}\nlimits =", "fees.maker_bps: "),
        ("limits =", "fees = {maker_bps = 0.00001}\nlimits =", "finer than 0.0001 bps"),
        ("limits =", "fees = {maker_bps = -inf}\nlimits =", "fees.maker_bps: Input should be a finite number"),
        ("limits =", 'fees = {tiers = [["5", 1, 1]]}\nlimits =', "fee tiers must start at volume 0"),
        ("limits =", 'venue = {queue = "powerful"}\nlimits =', "venue.queue: Input should be 'risk_averse', 'power'"),
        ("limits =", "venue = {queue_n = -1}\nlimits =", "exponent"),
        ("limits =", "venue = {entry = {constant_ms = -1}}\nlimits =", "entry.constant_ms: "),
        ("limits =", "venue = {entry = {constant_ms = 1, quantiles_ms = [1]}}\nlimits =", "give exactly one of"),
        ("limits =", "venue = {entry = {quantiles_ms = [5, 1]}}\nlimits =", "quantiles"),
        ("limits =", "venue = {entry = {quantiles_ms = []}}\nlimits =", "quantiles"),
        ("limits =", 'venue = {entry = {recorded = "nowhere.csv"}}\nlimits =', "nowhere.csv: [Errno 2]"),
        ("limits =", "venue = {entry = {constant_ms = 1e15}}\nlimits =", "entry.constant_ms: "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_configuration_is_one_clear_line(old, new, expected, config, refused):
    """Typos, wrong types, zero, negative, NaN and huge values, off the grid, unknown names: place and remedy."""
    assert expected in refused(config((old, new)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "instruments: Field required"),
        ("instruments = []", "instruments: List should have at least 1 item"),
        (PLAIN.partition("[strategy]")[0], "strategy: missing"),
        ("\x00", "is no TOML"),
    ],
)
def test_an_incomplete_configuration_says_what_is_missing(text, expected, config, refused):
    """No instrument, no strategy, no TOML."""
    assert expected in refused(config(text=text))


def test_a_latency_table_says_what_is_wrong_with_it(config, refused, tmp_path):
    """A column that is missing, a cell that is no number, times that fall."""
    table = tmp_path / "latency.csv"
    path = config(("limits =", f'venue = {{entry = {{recorded = "{table}"}}}}\nlimits ='))
    for text in (
        "ts_ns\n1\n",
        "ts_ns,latency_ns\n1,fast\n",
        "ts_ns,latency_ns\n5,1\n1,1\n",
        "ts_ns,latency_ns\n1\n",
        "",
    ):
        table.write_text(text)
        assert "latency" in refused(path)


def test_a_missing_configuration_and_a_wrong_command_line(tmp_path, refused):
    """A file that is not there is exit code 1, an option that does not exist is 2."""
    assert "no such file" in refused(tmp_path / "nowhere.toml")
    assert "cannot be read" in refused(tmp_path)
    assert run("backtest")[0] == 2
    assert run("backtest", SHIPPED, "--speed", "9")[0] == 2


def test_a_report_without_a_place_is_refused_before_the_run(config, tmp_path):
    """A file where the folder should be is found out at once."""
    blocked = tmp_path / "file"
    blocked.write_text("here first")
    for out in (blocked, blocked / "deeper"):
        code, said, complaint = run("backtest", config(), "--out", out)
        assert (code, said) == (1, "")
        assert "is a file" in complaint
    assert blocked.read_text() == "here first"


@pytest.fixture(scope="module")
def tapes(tmp_path_factory):
    """One second of a market in both forms: the bytes by suffix."""
    folder, second = tmp_path_factory.mktemp("tapes"), 1_000_000_000
    terms = Instrument(venue="test", symbol="ETHUSDT", kind="linear", tick="0.1", lot="0.01")
    writer = TapeWriter(folder / "a.tape", terms)
    for step in range(50):
        now = 1_700_000_000 * second + step * second // 50
        writer.depth(now + 5, now, "snapshot", [(f"99.{step % 9}", "1.00")], [("100.1", "2.00")])
        writer.trade(now + 9, now + 7, "100.1", "1.50", "buy")
    writer.finish()
    Tape.open(folder / "a.tape").save(folder / "a.tapez")
    return {form: (folder / f"a.{form}").read_bytes() for form in ("tape", "tapez")}


CUTS = {
    "empty": lambda raw: b"",
    "one byte": lambda raw: raw[:1],
    "head only": lambda raw: raw[:64],
    "half": lambda raw: raw[: len(raw) // 2],
    "a byte short": lambda raw: raw[:-1],
    "a byte long": lambda raw: raw + b"\0",
    "a text": lambda raw: b"ts,price,qty\n" * 1000,
    "zeros": lambda raw: bytes(len(raw)),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("form", ["tape", "tapez"])
def test_a_file_that_is_no_whole_tape_is_refused(cut, form, tapes, config, refused, tmp_path):
    """Empty, cut, foreign and overlong files are named with what is wrong."""
    path = tmp_path / f"{cut}.{form}"
    path.write_bytes(CUTS[cut](tapes[form]))
    assert str(path) in refused(config(("sample:ethusdt", str(path))))


def without_time(text):
    """A summary without its time of writing."""
    return {key: value for key, value in json.loads(text).items() if key != "runtime"}


@pytest.mark.parametrize("form", ["tape", "tapez"])
def test_no_flipped_bit_goes_unnoticed(form, tapes, config, tmp_path):
    """A bit turned anywhere in the file ends in one clear line that names it, never in a crash or another result.

    A packed file has a few bits that mean nothing; the run is then the very same.
    """
    dice, path = random.Random(20), tmp_path / f"flipped.{form}"
    path.write_bytes(tapes[form])
    settings = config(("sample:ethusdt", str(path)))
    code, whole, _ = run("backtest", settings, "--out", tmp_path / "out", "--json")
    assert code == 0
    wrong = []
    for place in range(0, len(tapes[form]), max(1, len(tapes[form]) // 80)):
        spoiled = bytearray(tapes[form])
        spoiled[place] ^= 1 << dice.randrange(8)
        path.write_bytes(spoiled)
        code, said, complaint = run("backtest", settings, "--out", tmp_path / "out", "--json")
        named = complaint.startswith(f"error: {path}") and complaint.count("\n") == 1
        harmless = form == "tapez" and code == 0 and without_time(said) == without_time(whole)
        if not (harmless or (code == 1 and named)):
            wrong.append((place, code, complaint))
    assert wrong == []


def test_a_folder_is_no_tape(config, refused, tmp_path):
    """A path that is a directory is an error of the operating system, and named."""
    assert str(tmp_path) in refused(config(("sample:ethusdt", str(tmp_path))))


def test_a_tape_without_a_market_is_refused(config, refused, tmp_path):
    """Nothing recorded, and never a bid and an ask together: there is nothing to trade, or nothing to value by."""
    terms = Instrument(venue="test", symbol="ETHUSDT", kind="linear", tick="0.1", lot="0.01")
    empty, one_sided = tmp_path / "empty.tape", tmp_path / "bids.tape"
    TapeWriter(empty, terms).finish()
    writer = TapeWriter(one_sided, terms)
    writer.depth(2, 1, "snapshot", [("99.9", "1.00")], [])
    writer.finish()
    assert "nothing to replay" in refused(config(("sample:ethusdt", str(empty))))
    assert "no sample has both a bid and an ask" in refused(config(("sample:ethusdt", str(one_sided))))


MINE = """
from mmbot.strategy import Strategy, quotes
class Mine(Strategy):
    def decide(self, view):
        {body}
"""


@pytest.mark.parametrize(
    ("body", "expected", "own"),
    [
        ("return 1 / view.position", "Mine.decide failed at 17231", "line 5, in decide"),
        ("raise ValueError('no idea')", "ValueError('no idea')", "line 5, in decide"),
        ("return quotes(float('nan'), None, 1)", "Mine.decide failed", "line 5, in decide"),
        ("return quotes(9, 3, 1)", "own bid 9 is not below own ask 3", "line 5, in decide"),
        ("return quotes(-5, None, 1)", "must be positive", "line 5, in decide"),
        ("return quotes(2**80, None, 1)", "Mine.decide failed", "line 5, in decide"),
        ("return 'buy'", "decide() returned str; expected an Intent", ""),
        ("return quotes(1, None, 1, instrument=7)", "an intent for instrument 7; this run has 0 to 0", ""),
    ],
)  # fmt: skip
def test_a_strategy_that_fails_shows_its_own_traceback(body, expected, own, config, tmp_path):
    """The line of the user's file, the exception, the time; nothing of ours above it, and no report."""
    (tmp_path / "mine.py").write_text(MINE.format(body=body))
    path = config(('"join_touch"', f'"{tmp_path}/mine.py:Mine"'), ("params = {order_lots = 1, cap_lots = 5}", ""))
    code, said, complaint = run("backtest", path, "--out", tmp_path / "out")
    assert (code, said) == (1, "")
    assert expected in complaint.splitlines()[-1]
    assert own in complaint
    assert "site-packages" not in complaint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["ValueError", "OSError", "KeyError"])
def test_a_strategy_s_own_exception_is_told_with_file_line_and_time(kind, config, tmp_path):
    """Whatever `decide` raises, in a backtest and in a walk: the last line names file, line and feed time."""
    (tmp_path / "mine.py").write_text(MINE.format(body=f"raise {kind}('no idea')"))
    path = config(('"join_touch"', f'"{tmp_path}/mine.py:Mine"'), ("params = {order_lots = 1, cap_lots = 5}", ""))
    code, _, complaint = run("backtest", path, "--out", tmp_path / "out")
    last = complaint.splitlines()[-1]
    assert code == 1
    assert last.startswith("error: Mine.decide failed at 17231")
    assert last.endswith(f" ns ({tmp_path}/mine.py:5): {kind}('no idea')")


def test_a_wake_without_a_rule_is_refused(config, refused, tmp_path):
    """A strategy that would never be asked is an error and not an empty report."""
    (tmp_path / "mine.py").write_text(
        "from mmbot.strategy import Strategy, Wake\nclass Mine(Strategy):\n    wake = Wake()\n"
    )
    path = config(('"join_touch"', f'"{tmp_path}/mine.py:Mine"'), ("params = {order_lots = 1, cap_lots = 5}", ""))
    assert "Mine.wake: Wake() has no rule" in refused(path)


def test_a_latency_table_lies_beside_the_configuration_and_counts_by_its_content(config, tmp_path):
    """The path is relative to the configuration; other content is another configuration, another place is not."""
    path = config(("limits =", 'venue = {entry = {recorded = "latency.csv"}}\nlimits ='))
    table, moved = tmp_path / "latency.csv", tmp_path / "moved"
    table.write_text("ts_ns,latency_ns\n1,5\n")
    moved.mkdir()
    for file in (path, table):
        (moved / file.name).write_bytes(file.read_bytes())
    first = load(path, BacktestConfig).hash()
    assert mmbot.backtest(path).run.config_hash == first == load(moved / path.name, BacktestConfig).hash()
    table.write_text("ts_ns,latency_ns\n1,6\n")
    assert load(path, BacktestConfig).hash() != first


@pytest.mark.parametrize(
    ("program", "expected"),
    [(".venv/bin/mmbot", ".venv/bin/mmbot"), ("package/__main__.py", "-m mmbot"), ("/opt/my tools/mmbot", "'/opt/my")],
)
def test_what_to_try_next_is_how_it_was_called(program, expected, config, tmp_path, monkeypatch):
    """The printed command can be typed as it stands by somebody who has no `mmbot` on the path."""
    path = config()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "argv", [program if program[0] == "/" else str(tmp_path / program)])
    _, said, _ = run("backtest", path, "--out", "out")
    hint = said.partition("try next")[2].splitlines()[1]
    assert expected in hint
    assert not hint.strip().startswith("mmbot")


def test_prices_beyond_any_market_are_denied_and_not_a_crash(config, tmp_path):
    """Quotes at one tick and at 2^62 ticks, and of 2^62 lots, never reach the venue."""
    (tmp_path / "mine.py").write_text(MINE.format(body="return quotes(1, 2**62, 2**62)"))
    path = config(('"join_touch"', f'"{tmp_path}/mine.py:Mine"'), ("params = {order_lots = 1, cap_lots = 5}", ""))
    code, said, complaint = run("backtest", path, "--out", tmp_path / "out", "--json")
    assert (code, complaint) == (0, "")
    total = json.loads(said)["total"]
    assert (total["fills"]["count"], total["orders"]["placed"]) == (0, 0)


def test_ctrl_c_ends_a_run_cleanly(config, tmp_path):
    """An interrupt in the middle of a replay gives exit code 130, one line, and no report."""
    (tmp_path / "mine.py").write_text(MINE.format(body="import os, signal; os.kill(os.getpid(), signal.SIGINT)"))
    path = config(('"join_touch"', f'"{tmp_path}/mine.py:Mine"'), ("params = {order_lots = 1, cap_lots = 5}", ""))
    done = subprocess.run(
        [sys.executable, "-m", "mmbot", "backtest", path, "--out", tmp_path / "out"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "")
    assert done.stderr == "interrupted: the run was dropped, and no file is half-written\n"
    assert not (tmp_path / "out").exists()


def test_an_interrupted_writing_leaves_the_old_file(config, tmp_path, monkeypatch):
    """A report that cannot be finished leaves the one before it, and no piece of the new one."""
    result = mmbot.backtest(config())
    result.write(tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def interrupted(self, text, **_):
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", interrupted)
    with pytest.raises(KeyboardInterrupt):
        result.write(tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


COMMANDS = ((), ("backtest",), ("data",), *(("data", one) for one in ("import", "info", "check", "head", "convert")))


def test_help_of_every_command_waits_for_nothing_heavy():
    """Every `--help`, in one process, leaves Polars, NumPy, Plotly, the templates and the engine unloaded."""
    script = f"""
import sys
from typer.testing import CliRunner
from mmbot.cli import app
for words in {COMMANDS!r}:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0 and "Usage" in done.stdout, (words, done.output)
print(sorted({{"polars", "numpy", "plotly", "jinja2", "mmbot.research.backtest"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_replay_is_under_way_before_polars_is_loaded(tmp_path):
    """When a strategy is first asked, neither Polars nor Plotly nor a template has been loaded: they come later."""
    script = f"""
import sys
import mmbot
from mmbot.strategy import Strategy
class Look(Strategy):
    def decide(self, view):
        print(sorted({{"polars", "plotly", "jinja2", "rich"}} & set(sys.modules)))
        sys.exit()
mmbot.backtest({str(SHIPPED)!r}, strategy=Look())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_python_m_mmbot_is_the_command():
    """The package runs as a module and names its version."""
    done = subprocess.run([sys.executable, "-m", "mmbot", "version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"mmbot {mmbot.__version__} (core ")


def test_every_file_of_configs_runs(tmp_path):
    """What ships as a configuration is one, and finds its tape from the root of the project."""
    found = sorted((ROOT / "configs").glob("*.toml"))
    assert SHIPPED in found
    for path in found:
        assert tomllib.loads(path.read_text())["instruments"]
        done = subprocess.run(
            [sys.executable, "-m", "mmbot", "backtest", path, "--out", tmp_path / path.stem, "--json"],
            cwd=ROOT, env={**os.environ, "MM_FREEZE_UTC": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert json.loads(done.stdout)["runtime"]["utc"] == "1970-01-01T00:00:00Z"
