"""The preflight: each check passes and fails, says what to do, and shows no secret."""

from pathlib import Path

import pytest
from small_market import GOOD, folder_of, paint

from mmbot.ops.baseline import baseline_of
from mmbot.ops.findings import Finding, worst
from mmbot.ops.preflight import CHECKS, ENVIRONMENT, MONITORING, Cockpit, preflight

CONFIG = """
[[instruments]]
tape = "{tape}"
limits = {{ position = "{position}", order = "0.02" }}
fees = {{ maker_bps = -0.5, taker_bps = 4 }}
[strategy]
name = "{strategy}"
params = {{ order_lots = 5, cap_lots = 20 }}
"""
SESSION = '[session]\nenvironment = "{environment}"\nkey_variable = "MY_KEY"\n'
SECRET = "sesame-open"


@pytest.fixture
def cockpit(tmp_path: Path):
    """Make a cockpit with which every check passes, but for what is changed."""
    tape = paint(tmp_path / "a.tape", seconds=20)

    def make(*, session="mainnet", position="0.04", strategy="join_touch", text=None, **changes) -> Cockpit:
        config = tmp_path / "run.toml"
        written = CONFIG.format(tape=tape, position=position, strategy=strategy)
        config.write_text(text or written + (SESSION.format(environment=session) if session else ""))
        folder = folder_of(tmp_path / "good", [{"BTCUSDT": GOOD}])
        baseline_of(folder).write(tmp_path / "stage_budgets.json", environ={})
        for name in MONITORING:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        settings = {
            "config": config,
            "out": tmp_path / "out",
            "baseline": tmp_path / "stage_budgets.json",
            "root": tmp_path,
            "environ": ENVIRONMENT,
        }
        return Cockpit(**{**settings, **changes})

    return make


def found(cockpit: Cockpit, check: str) -> list[Finding]:
    """What was found under names that begin so."""
    return [finding for finding in preflight(cockpit) if finding.check.startswith(check)]


def test_everything_passes_when_everything_is_there(cockpit):
    """One PASS or more from each check, and nothing to do."""
    findings = list(preflight(cockpit()))
    assert {finding.status for finding in findings} == {"PASS"}
    assert not any(finding.hint for finding in findings)
    assert len(findings) >= len(CHECKS)
    assert worst(findings) == "PASS"


@pytest.mark.parametrize(
    ("changes", "check", "status", "said"),
    [
        ({"text": "seeed = 1"}, "configuration", "FAIL", "did you mean 'seed'"),
        ({"strategy": "no_such"}, "configuration", "FAIL", "no_such"),
        ({"profile": "bold"}, "configuration", "FAIL", "profile 'bold'"),
        ({"config": Path("nowhere.toml")}, "configuration", "FAIL", "no such file"),
        ({"text": "seeed = 1"}, "session", "SKIP", "cannot be read"),
        ({"text": "seeed = 1"}, "smoke", "SKIP", "cannot be read"),
        ({"session": None}, "session", "WARN", "no [session]"),
        ({"session": "simulator"}, "session", "WARN", "a simulator's"),
        ({"environ": {**ENVIRONMENT, "BYBIT_API_KEY": SECRET}}, "keys", "WARN", "BYBIT_API_KEY set (value hidden)"),
        ({"environ": {**ENVIRONMENT, "MY_KEY": SECRET}}, "keys", "WARN", "MY_KEY set"),
        ({"environ": {**ENVIRONMENT, "TZ": "Mars/Olympus"}}, "environment TZ", "WARN", "another value"),
        ({"environ": {}}, "environment PYTHONUTF8", "WARN", "not set"),
        ({"disk_free": lambda _: 2**30 - 1}, "disk", "FAIL", "at least 1 GB wanted"),
        ({"out": Path("/proc/nowhere")}, "folder", "FAIL", "cannot be written to"),
        ({"root": Path("/nonexistent")}, "monitoring", "SKIP", "no folder monitoring/"),
        ({"baseline": Path("nowhere.json")}, "baseline", "WARN", "does not exist"),
        ({"smoke": False}, "smoke", "SKIP", "--skip-smoke"),
        ({"position": "0.0405"}, "smoke", "FAIL", "limits of BTCUSDT"),
    ],
)
def test_each_check_says_what_is_wrong_and_what_to_do(cockpit, changes, check, status, said):
    """The status is that of how much it matters, and the hint says how to mend it."""
    [finding] = found(cockpit(**changes), check)
    assert finding.status == status
    assert said in finding.detail
    assert finding.hint or status == "SKIP"


def test_no_value_of_the_environment_is_shown(cockpit):
    """Whatever is set under any name that the checks know, its value is nowhere in what they say."""
    names = [*ENVIRONMENT, "BYBIT_API_KEY", "BYBIT_API_SECRET", "MY_KEY", "MMBOT_BYBIT_API_SECRET", "REDIS_URL"]
    said = "".join(str(finding) for finding in preflight(cockpit(environ=dict.fromkeys(names, SECRET))))
    assert SECRET not in said


def test_half_a_monitoring_folder_is_a_warning(cockpit, tmp_path: Path):
    """Alert rules that are missing are named."""
    ready = cockpit()
    (tmp_path / MONITORING[0]).unlink()
    [finding] = found(ready, "monitoring")
    assert (finding.status, MONITORING[0] in finding.detail) == ("WARN", True)


@pytest.mark.parametrize(("text", "status"), [("{}", "FAIL"), ('{"iterations":1,"total":{},"per_symbol":{}}', "WARN")])
def test_a_baseline_that_says_nothing_is_no_baseline(cockpit, tmp_path: Path, text: str, status: str):
    """Damaged it fails; without a single budget it warns."""
    ready = cockpit()
    (tmp_path / "stage_budgets.json").write_text(text)
    assert found(ready, "baseline")[0].status == status


def test_an_instrument_without_a_tape_cannot_be_smoked(cockpit):
    """It is skipped, not passed."""
    text = CONFIG.format(tape="x", position="1", strategy="join_touch")
    text = text.replace('tape = "x"', 'symbol = "BTCUSDT"\ncategory = "linear"')
    assert found(cockpit(text=text), "smoke")[0].status == "SKIP"


@pytest.mark.parametrize(
    ("statuses", "verdict"), [(["PASS", "SKIP"], "PASS"), (["WARN", "PASS"], "WARN"), (["WARN", "FAIL"], "FAIL")]
)
def test_the_worst_finding_is_the_verdict(statuses: list[str], verdict: str):
    """FAIL before WARN before PASS."""
    assert worst([Finding(check="x", status=status, detail="") for status in statuses]) == verdict


def test_a_finding_reads_like_advice():
    """Status, check, detail, and what to do on a line of its own."""
    finding = Finding(check="disk", status="FAIL", detail="full", hint="make room")
    assert str(finding) == "FAIL  disk: full\n      → make room"
