"""Real recordings, small enough to ship: see ATTRIBUTION.md beside this file for their origin and licences."""

from importlib.resources import as_file, files
from pathlib import Path

from mmbot._core import Tape

SAMPLES = {
    "btcusdt": "binance-usdm-btcusdt-20240808.tapez",
    "ethusdt": "binance-usdm-ethusdt-20240808.tapez",
    "bybit-btcusdt": "bybit-linear-btcusdt-20260809.tapez",
}
"""File by name."""


def sample_path(name: str) -> Path:
    """Where a sample lies. Raises ValueError naming the known samples."""
    if name not in SAMPLES:
        raise ValueError(f"unknown sample {name!r}; known: {', '.join(SAMPLES)}")
    with as_file(files(__name__) / SAMPLES[name]) as path:  # installed packages are unpacked, so the path outlives this
        return path


def sample(name: str) -> Tape:
    """A sample, opened. Raises ValueError naming the known samples."""
    return Tape.open(sample_path(name))
