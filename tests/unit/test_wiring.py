"""From a mode to what is wired together: what each may do, and what it may never."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from mmbot.config import BacktestConfig, ConfigError
from mmbot.data.catalog import market_of
from mmbot.wiring import CANARY, Mode, Trading, Watching, wire

KEYS = {"MMBOT_BYBIT_API_KEY": "k-0123456789", "MMBOT_BYBIT_API_SECRET": "s-0123456789"}


def config(environment: str = "simulator", **session: object) -> BacktestConfig:
    """Make a configuration for one environment."""
    return BacktestConfig.model_validate(
        {
            "instruments": [{"tape": "sample:btcusdt", "limits": {"position": "1", "order": "0.1"}}],
            "strategy": {"name": "join_touch"},
            "session": {"environment": environment, **session},
        }
    )


def test_a_shadow_run_has_nothing_to_order_with():
    """Whatever the environment holds, shadow reads no credentials, and has no way to make an order session."""
    wiring = wire(Mode.SHADOW, config("mainnet"), KEYS)
    assert type(wiring) is Watching
    assert not hasattr(wiring, "orders")
    assert not hasattr(wiring, "credentials")


def test_shadowing_never_loads_an_order_session():
    """The modules that can order are not even imported by those that shadow."""
    code = (
        "import mmbot.ops.shadow, mmbot.ops.shadow_wiring, mmbot.ops.watch, mmbot.wiring, mmbot.cli.shadow, sys;"
        "print([name for name in sys.modules if name in ('mmbot.venues.bybit.session', 'mmbot.venues.bybit.trade')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("mode", "environment", "environ", "gate", "said"),
    [
        (Mode.PAPER, "mainnet", KEYS, None, "mainnet trades real money"),
        (Mode.PAPER, "testnet", {}, None, "MMBOT_BYBIT_API_KEY and MMBOT_BYBIT_API_SECRET not set"),
        (Mode.PAPER, "testnet", KEYS | {"MMBOT_BYBIT_API_KEY": "mmsim0123"}, None, "key of the simulator"),
        (Mode.LIVE, "testnet", KEYS, "HASH", "no place for --mode live"),
        (Mode.LIVE, "simulator", KEYS, "HASH", "no place for --mode live"),
        (Mode.LIVE, "mainnet", KEYS, None, "live is closed: no gate holds a PASS"),
        (Mode.LIVE, "mainnet", KEYS, "0123456789abcdef", "live is closed: no gate holds a PASS"),
        (Mode.LIVE, "mainnet", KEYS | {"MMBOT_BYBIT_API_KEY": "mmsim0123"}, "HASH", "key of the simulator"),
    ],
)
def test_a_run_that_may_not_be_is_refused(
    mode: Mode, environment: str, environ: dict[str, str], gate: str | None, said: str
):
    """Real money asks for a gate or a person's word; paper stays away from it; a simulator's key goes nowhere else."""
    read = config(environment, gateway="inside")
    with pytest.raises(ConfigError, match=said):
        wire(mode, read, environ, override_gate=read.hash() if gate == "HASH" else gate)


def test_a_live_run_begins_at_a_tenth_and_its_key_is_elsewhere(tmp_path: Path):
    """With the configuration named, live is open, at canary size; without a limits file for its gateway it is not."""
    with pytest.raises(ConfigError, match="gateway_file"):
        wire(Mode.LIVE, config("mainnet"), KEYS, override_gate=config("mainnet").hash())
    read = config("mainnet", gateway_file=str(tmp_path / "gateway.toml"))
    wiring = wire(Mode.LIVE, read, KEYS, override_gate=read.hash())
    assert isinstance(wiring, Trading)
    assert wiring.apart
    assert wiring.credentials is None
    assert (wiring.share, CANARY) == (Fraction(1, 10), Fraction(1, 10))


def test_no_credential_shows_itself():
    """Neither key nor secret of a wired run can be read off its text."""
    wiring = wire(Mode.PAPER, config("testnet"), KEYS)
    assert KEYS["MMBOT_BYBIT_API_SECRET"] not in repr(wiring)
    assert KEYS["MMBOT_BYBIT_API_KEY"] not in repr(wiring)


def test_an_embedded_exchange_makes_its_own_key():
    """Without a url the run needs no key of ours, and none of the environment is read."""
    wiring = wire(Mode.PAPER, config(), {})
    assert isinstance(wiring, Trading)
    assert wiring.embedded
    assert wiring.credentials is None


def test_a_market_is_named_by_the_configuration_or_the_tape():
    """Category and symbol are the tape's, where they are not said."""
    one = config().instruments[0]
    assert market_of(one) == ("linear", "BTCUSDT")
    assert market_of(one.model_copy(update={"symbol": "BTCPERP"})) == ("linear", "BTCPERP")
