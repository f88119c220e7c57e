"""Profiles: what is laid over a configuration, and what happens when it is not there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config import BacktestConfig, ConfigError, MissingProfileError, load_profile
from mmbot.config.profiles import overlaid

CONFIG = """
seed = 1
[[instruments]]
tape = "sample:btcusdt"
limits = { position = "0.2", order = "0.05" }
[strategy]
name = "market_maker"
params = { gamma = 0.1, kappa = 0.15 }
"""


def written(tmp_path: Path, profile: str) -> Path:
    """A configuration, and a profile named cautious."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "cautious.toml").write_text(profile)
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path / "run.toml"


def test_a_profile_changes_what_it_names_and_nothing_else(tmp_path: Path):
    """One parameter of the strategy is another; its neighbour and the rest stay."""
    config = written(tmp_path, "[strategy.params]\ngamma = 0.5\n")
    read = load_profile(config, BacktestConfig, "cautious")
    assert read.strategy is not None
    assert read.strategy.params == {"gamma": 0.5, "kappa": 0.15}
    assert read.seed == 1


def test_a_missing_profile_is_named_with_those_there_are(tmp_path: Path):
    """A misspelt profile must not be taken for none."""
    config = written(tmp_path, "")
    with pytest.raises(MissingProfileError, match=r"profile 'bold': .*bold\.toml does not exist; there are: cautious"):
        load_profile(config, BacktestConfig, "bold")


def test_the_whole_is_checked_with_both_names(tmp_path: Path):
    """A key that the configuration does not know is refused in a profile too."""
    config = written(tmp_path, "seeed = 2\n")
    with pytest.raises(ConfigError, match=r"run\.toml with .*cautious\.toml.*did you mean 'seed'"):
        load_profile(config, BacktestConfig, "cautious")


LEAVES = st.sampled_from([0, 1, "x", [1, 2]])
KEYS = st.sampled_from("abc")
TABLE = st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=2), max_size=3)


@given(TABLE, TABLE)
def test_laying_over_keeps_both_and_is_done_once(under, over):
    """Every key of either is there, an empty profile changes nothing, and a second time changes nothing more."""
    merged = overlaid(under, over)
    assert merged.keys() == under.keys() | over.keys()
    assert overlaid(under, {}) == under
    assert overlaid(merged, over) == merged
