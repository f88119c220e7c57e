"""What `mmbot status` says of the controls that are switched off."""

from pathlib import Path

from mmbot.config import RiskConfig, SessionConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_requests import write_session
from mmbot.ops.status import controls_off, status_lines, status_words

LOOSE = {"risk.guards": "is off", "risk.executions_max": "is 90000; too many"}


def test_what_is_off_is_in_the_status_of_the_account(tmp_path: Path) -> None:
    """By its key, for a person and for a machine; an account that never ran says nothing of it."""
    state = AccountState.at(tmp_path)
    assert controls_off(state) is None
    off = RiskConfig(guards=False, reference_age_ms=0).off
    market = [("linear", "BTCUSDT")]
    write_session(state, SessionConfig(), "7", market, strategy="Quoter", embedded=False, off=off, loose=LOOSE)
    assert controls_off(state) == list(off)
    assert {"guards", "reference_age_ms"} <= set(off)
    assert f"  controls off: {', '.join(off)}" in status_lines(state, 1)
    assert status_words(state, 1)["controls_off"] == list(off)
    assert "  control as good as off: risk.executions_max is 90000; too many" in status_lines(state, 1)
    assert not any("guards is off" in line for line in status_lines(state, 1))
    assert status_words(state, 1)["controls_loose"] == LOOSE
