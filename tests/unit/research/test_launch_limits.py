"""Launch limits are one switch: sizes, amounts, loss and positions follow from it, in the core of every run (A-049)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from mmbot.config import BacktestConfig, RiskConfig
from mmbot.research import desks, journal
from mmbot.research.backtest import open_tapes
from mmbot.research.desks import configured

TENTH, WHOLE = Fraction(1, 10), Fraction(1)


@pytest.mark.parametrize(
    ("launch", "share", "lots", "order_usd", "positions"),
    [
        (False, WHOLE, (1_000, 100), 25_000, 20),
        (True, WHOLE, (100, 10), 2_500, 5),
        (False, TENTH, (100, 10), 25_000, 20),
        (True, TENTH, (100, 10), 2_500, 5),
    ],
)
def test_one_switch_makes_a_tenth_of_everything(
    launch: bool, share: Fraction, lots: tuple[int, int], order_usd: int, positions: int, monkeypatch: Any
) -> None:
    """A live run has a tenth of its sizes in any case; with the switch it is a tenth still, and of amounts as well."""
    config = BacktestConfig.model_validate(
        {
            "instruments": [{"tape": "sample:btcusdt", "limits": {"position": "1", "order": "0.1"}}],
            "strategy": {"name": "join_touch"},
            "risk": {"launch": launch},
        }
    )
    made: dict[str, dict[str, Any]] = {}

    def noted(name: str) -> Any:
        real = getattr(desks._core, name)

        def make(**words: Any) -> Any:
            made[name] = words
            return real(**words)

        return make

    tapes = open_tapes(config)
    core = type("Core", (), {name: staticmethod(noted(name)) for name in ("Desk", "Controls", "Bounds")})
    core.Seat = desks._core.Seat  # type: ignore[attr-defined]
    monkeypatch.setattr(desks, "_core", core)
    instruments = [each.instrument for each in tapes]
    journal.live_engine(config, configured(config), instruments, [each.tape for each in tapes], share=share)
    assert (made["Desk"]["position_max"], made["Desk"]["order_max"]) == lots
    assert made["Controls"]["order_notional_max"] == order_usd * 10**12
    assert made["Bounds"]["positions_max"] == positions


@pytest.mark.parametrize("name", [name for name in RiskConfig.model_fields if name.endswith("_usd")])
def test_no_amount_escapes_the_switch(name: str) -> None:
    """Every one is a tenth while it is on."""
    assert RiskConfig(launch=True).amount(name) * 10 == RiskConfig().amount(name)
