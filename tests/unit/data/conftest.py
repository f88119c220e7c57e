"""An instrument to import, and a place to write its capture."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mmbot._core import Instrument
from mmbot.data import instruments


@pytest.fixture
def btc() -> Instrument:
    """BTCUSDT as Binance USD-M lists it."""
    return instruments.binance("usdm", "BTCUSDT", instruments.fee_profile("maker-rebate"))


@pytest.fixture
def capture(tmp_path: Path) -> Callable[[Iterable[bytes]], Path]:
    """Writes lines to a plain file."""

    def write(lines: Iterable[bytes]) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(b"\n".join(lines) + b"\n")
        return path

    return write
