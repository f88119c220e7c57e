"""`mmbot run`: every mode is wired in one place, and no option is ignored without a word."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.config import ConfigError

PAPER = str(Path(__file__).parents[3] / "configs/paper.toml")


@pytest.mark.parametrize("mode", ["shadow", "paper", "live"])
def test_every_mode_goes_through_the_wiring(mode: str, monkeypatch: pytest.MonkeyPatch):
    """What a mode is made of is asked of `wire`, and its word is the last."""

    def refused(asked: object, *_: object, **__: object) -> None:
        raise ConfigError(f"{asked} was asked for")

    monkeypatch.setattr("mmbot.wiring.wire", refused)
    done = CliRunner().invoke(app, ["run", PAPER, "--mode", mode])
    assert (done.exit_code, done.stderr) == (1, f"error: {mode} was asked for\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mode", "shadow", "--plain"), "--plain means nothing with --mode shadow"),
        (("--mode", "shadow", "--override-gate", "HASH"), "--override-gate means nothing with --mode shadow"),
        (("--override-gate", "HASH"), "--override-gate means nothing with --mode paper"),
    ],
)
def test_an_option_that_means_nothing_in_the_mode_is_refused(words: tuple[str, ...], said: str):
    """A mistake in the command line: exit code 2, before anything is read or started."""
    done = CliRunner().invoke(app, ["run", PAPER, *words], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert said in done.output
