"""Where a run trades: what is refused, and what has no part in the configuration's name."""

import pytest

from mmbot.config import BacktestConfig, ConfigError
from mmbot.config.load import check

LIMITS = {"position": "1", "order": "0.1"}


def config(session: dict[str, object] | None = None, **instrument: object) -> BacktestConfig:
    """Make a configuration of one instrument."""
    one = {"tape": "sample:btcusdt", "limits": LIMITS} | instrument
    return check(BacktestConfig, {"instruments": [one], "session": session}, "test.toml")


def test_the_stage_of_a_run_does_not_change_its_name():
    """What passed on paper has the same hash on the exchange: `session` does not count, what is decided does."""
    paper, live = config({"environment": "simulator"}), config({"environment": "mainnet", "depth": 200})
    assert config().hash() == paper.hash() == live.hash()
    assert config(symbol="BTCUSDT", category="linear").hash() != config().hash()


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ({"environment": "mainnet", "url": "http://127.0.0.1:1"}, "url is for a simulator"),
        ({"environment": "paper"}, "environment"),
        ({"key_variable": "my key"}, "key_variable"),
        ({"depth": 500}, "depth"),
        ({"api_key": "k"}, "no key of SessionConfig"),
    ],
)
def test_a_session_that_cannot_be_is_refused_by_place(session: dict[str, object], said: str):
    """Each mistake is named; a credential has no place in the file."""
    with pytest.raises(ConfigError, match=said):
        config(session)


def test_an_instrument_says_which_it_is():
    """A tape, or a name at the venue; a backtest asks for the tape when it needs it."""
    with pytest.raises(ConfigError, match="give its tape"):
        config(tape=None, symbol="BTCUSDT")
    one = config(tape=None, symbol="BTCUSDT", category="linear").instruments[0]
    with pytest.raises(ConfigError, match="BTCUSDT has no tape"):
        one.recording  # noqa: B018  asking is the test
