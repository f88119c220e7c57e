"""What `mmbot status` says of the controls that are switched off."""

from pathlib import Path

import pytest

from mmbot.config import RiskConfig, SessionConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_requests import write_session
from mmbot.ops.status import controls_off, read_policy, status_lines, status_words
from mmbot.risk.freeze import FreezePolicy

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


@pytest.mark.parametrize("said", ["[NaN, 1]", "[-1, 1]", "[1e999, 1]", "[1]", "null", "[1, 1, 1]", '["a", "b"]'])
def test_what_holds_after_a_lift_is_the_default_where_a_file_says_nonsense(said: str, tmp_path: Path) -> None:
    """The status shows the board, whatever stands beside it."""
    state = AccountState(tmp_path)
    state.session.write_text(f'{{"lift_s": {said}}}', encoding="utf-8")
    assert read_policy(state) == FreezePolicy()
    state.session.write_text('{"lift_s": [2, 3]}', encoding="utf-8")
    assert read_policy(state) == FreezePolicy(shadow_s=2.0, canary_s=3.0)
