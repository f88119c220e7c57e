"""`mmbot exchange` where it does not start; where it does is in tests/integration."""

import pytest
from typer.testing import CliRunner

from mmbot.cli import app


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tape", "nowhere.tape"], "nowhere.tape: No such file"),
        (["--tape", "sample:nobody"], "unknown sample 'nobody'; known: btcusdt"),
        (["--speed", "5000"], "outside 0.1 to 1000"),
        (["--set", "ack=3"], "'ack' is no switch; did you mean 'ack_ms'?"),
        (["--set", "show_clients"], "expected NAME=VALUE"),
        (["--set", "beat_ms=soon"], "--set beat_ms=soon: Input should be a valid integer"),
    ],
)
def test_what_can_not_start_says_why_in_one_line(words: list[str], said: str):
    """Exit code 1 and one line that says what to do."""
    done = CliRunner().invoke(app, ["exchange", *words])
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
