"""Whatever somebody writes into the limits of a run or of a gateway: an answer, never a traceback."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot import _core
from mmbot.config import BacktestConfig, ConfigError, RiskConfig, SessionConfig
from mmbot.config.load import check, read_toml
from mmbot.config.schema import LimitsConfig
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.limits import GatewayLimits, SymbolLimits, read_limits
from mmbot.ops.gateway_process import limits_of
from mmbot.research.desks import bounds, controls, desk
from mmbot.risk import RiskWatch

INSTRUMENT = _core.Instrument(venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001", maker=0, taker=0)
DECIMALS = st.one_of(
    st.sampled_from(["0", "0.0", "-1", "1e3", "NaN", "Infinity", "", "٣", "+1", ".5", "5.", "0x10", "1_000"]),
    st.integers(0, 10**45).map(str),
    st.decimals(0, 10**20, allow_nan=False, allow_infinity=False, places=9).map(lambda one: format(one, "f")),
    st.integers(1, 400).map(lambda digits: "9" * digits),
    st.integers(1, 400).map(lambda digits: "0." + "0" * digits + "1"),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.integers(-2, 100_000),
    st.floats(),
    st.sampled_from([10**4_299, 10**5_000, 0x10**6_000]),
)
SCRAPS = st.one_of(
    DECIMALS, NUMBERS, st.booleans(), st.text(max_size=8), st.none(), st.lists(st.integers(), max_size=2)
)


def some_of(model: type[Any], but: Mapping[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """A few keys of a model, each with anything."""
    keys = st.sampled_from(sorted(set(model.model_fields) - set(but or {})))
    return st.dictionaries(st.one_of(keys, keys, keys, st.text(max_size=5)), SCRAPS, max_size=4)


@given(
    risk=some_of(RiskConfig), limits=some_of(LimitsConfig), session=some_of(SessionConfig), symbol=st.text(max_size=9)
)
@settings(max_examples=400, deadline=None)
def test_limits_of_a_run_are_used_or_refused_by_name(
    risk: dict[str, Any], limits: dict[str, Any], session: dict[str, Any], symbol: str
) -> None:
    """What is read makes limits for core, watches and gateway; what is not is a ConfigError."""
    each = {"symbol": symbol or "BTCUSDT", "category": "linear", "limits": {"position": "1", "order": "0.1", **limits}}
    words = {"instruments": [each], "risk": risk, "session": session}
    with suppress(ConfigError):
        config = check(BacktestConfig, words, "a.toml")
        assert config.session is not None
        RiskWatch(config.risk)
        bounds(config.risk, config.session.calls_per_second, derivatives=True)
        desk(config.instruments[0], INSTRUMENT, "BTCUSDT", held_against=controls(config.risk))
        GatewayCore(limits_of(config, config.session, [("linear", str(each["symbol"]))]))


@given(top=some_of(GatewayLimits, {"symbol": 0}), symbol=some_of(SymbolLimits), times=st.integers(0, 2))
@settings(max_examples=400, deadline=None)
def test_limits_of_a_gateway_are_used_or_refused_by_name(
    top: dict[str, Any], symbol: dict[str, Any], times: int
) -> None:
    """Likewise for the gateway's own file."""
    one = {"category": "linear", "symbol": "BTCUSDT", "order_qty": "1", "order_notional": "9", "position": "2"}
    words = {"environment": "simulator", "exposure": "1000", "symbol": [{**one, "collar_bps": 9, **symbol}] * times}
    with suppress(ConfigError):
        GatewayCore(check(GatewayLimits, {**words, **top}, "gateway.toml"))


@given(
    st.one_of(
        st.text(max_size=60), st.binary(max_size=60), st.integers(1, 6_000).map(lambda digits: "a = " + "9" * digits)
    )
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_of_a_file_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, raw: str | bytes) -> None:
    """No TOML, no UTF-8, numbers of thousands of digits."""
    path = Path(tmp_path_factory.mktemp("fuzz")) / "a.toml"
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    for read in (read_toml, read_limits):
        with suppress(ConfigError):
            read(path)


def gateway(**changes: Any) -> GatewayLimits:
    """Limits of one symbol, read."""
    symbol = {"category": "linear", "symbol": "BTCUSDT", "order_qty": "1", "order_notional": "200", "position": "2"}
    symbol |= {"collar_bps": 100, **changes.pop("symbol", {})}
    return check(GatewayLimits, {"environment": "simulator", "exposure": "1000", "symbol": [symbol], **changes}, "g")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"symbol": {"order_qty": "2.1"}}, "order_qty is 2.1; expected at most 2, position"),
        ({"symbol": {"order_notional": "1001"}}, "order_notional is 1001; expected at most 1000, exposure"),
        ({"symbol": {"order_notional": "0"}}, "above zero"),
        ({"symbol": {"order_notional": "1000000.1"}, "exposure": "2000000"}, "expected at most 1000000"),
        ({"exposure": "10000000.1"}, "exposure is 10000000.1; expected at most 10000000"),
        ({"requests_per_second": 601}, "expected at most requests_per_minute, 600"),
        ({"socket": "a\0b"}, "socket"),
    ],
)
def test_a_gateways_limits_fit_into_each_other(changes: dict[str, Any], said: str) -> None:
    """Order within position and exposure, all within what is compiled in; on the boundary they pass."""
    gateway(symbol={"order_qty": "2", "order_notional": "1000"})
    gateway(symbol={"order_notional": "1000000"}, exposure="10000000", requests_per_second=600)
    with pytest.raises(ConfigError, match=said):
        gateway(**changes)


@pytest.mark.parametrize(
    ("risk", "session", "said"),
    [
        ({}, {"recon_interval_s": 90.5}, "session.recon_interval_s is 90.5"),
        ({"account_age_ms": 100_000}, {}, "session.recon_interval_s is 60"),
        ({"margin_headroom_pct": 0.0, "stop_loss_pct": 2.0}, {"positions_s": 91.0}, "session.positions_s is 91"),
    ],
)
def test_what_is_asked_for_more_seldom_than_it_may_be_old_is_refused(
    risk: dict[str, Any], session: dict[str, Any], said: str
) -> None:
    """Orders would be denied again and again; without margin and stops nobody needs the account so often."""
    each = {"symbol": "BTCUSDT", "category": "linear", "limits": {"position": "1", "order": "1"}}
    with pytest.raises(ConfigError, match=said):
        check(BacktestConfig, {"instruments": [each], "risk": risk, "session": session}, "a.toml")
    off = {"instruments": [each], "risk": {"margin_headroom_pct": 0.0}, "session": session}
    check(BacktestConfig, off, "a.toml")


@pytest.mark.parametrize("name", ["order", "open_orders", "collar_bps", "requests_per_second"])
def test_a_limit_of_an_instrument_with_three_digits_too_many_is_refused(name: str) -> None:
    """A position's is held against the first price (`tests/unit/runtime/test_measures.py`)."""
    limits = {"position": "1", "order": "0.1"}
    default = LimitsConfig.model_validate(limits)
    given = getattr(default, name)
    mistyped = "100" if name == "order" else given * 1_000
    with pytest.raises(ConfigError):
        check(LimitsConfig, {**limits, name: mistyped}, "a.toml")


@pytest.mark.parametrize(
    "name",
    [
        *("requests_per_second", "requests_per_minute", "decision_age_ms", "reference_age_ms", "clock_jump_ms"),
        *("clock_hold_ms", "exposure"),
    ],
)
def test_a_limit_of_a_gateway_with_three_digits_too_many_is_refused(name: str) -> None:
    """Likewise; sizes are held against each other and against the money that they are worth."""
    given = getattr(gateway(exposure="50000"), name)
    with pytest.raises(ConfigError, match=name):
        gateway(**{"exposure": "50000", name: "50000000" if name == "exposure" else given * 1_000})


def test_more_calls_than_any_account_has_are_refused() -> None:
    """At a venue; our own simulator takes thousands."""
    check(SessionConfig, {"calls_per_second": 9_000}, "a.toml")
    check(SessionConfig, {"environment": "testnet", "calls_per_second": 500}, "a.toml")
    with pytest.raises(ConfigError, match="calls_per_second is 501"):
        check(SessionConfig, {"environment": "testnet", "calls_per_second": 501}, "a.toml")
