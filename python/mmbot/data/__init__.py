"""Recordings become tapes, tapes become frames."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmbot.data.catalog import open_tape

if TYPE_CHECKING:
    from mmbot.data.capture import CaptureError as CaptureError
    from mmbot.data.clock import ClockPolicy as ClockPolicy
    from mmbot.data.import_ import import_binance as import_binance
    from mmbot.data.import_ import import_bybit as import_bybit
    from mmbot.data.import_orders import import_sse as import_sse
    from mmbot.data.import_report import ImportReport as ImportReport
    from mmbot.data.tape import depth as depth
    from mmbot.data.tape import funding as funding
    from mmbot.data.tape import levels as levels
    from mmbot.data.tape import orders as orders
    from mmbot.data.tape import touch as touch
    from mmbot.data.tape import trades as trades

__all__ = [
    "CaptureError",
    "ClockPolicy",
    "ImportReport",
    "depth",
    "funding",
    "import_binance",
    "import_bybit",
    "import_sse",
    "levels",
    "open_tape",
    "orders",
    "touch",
    "trades",
]

_HOMES = {
    "CaptureError": "mmbot.data.capture",
    "ClockPolicy": "mmbot.data.clock",
    "ImportReport": "mmbot.data.import_report",
    "import_binance": "mmbot.data.import_",
    "import_bybit": "mmbot.data.import_",
    "import_sse": "mmbot.data.import_orders",
    **dict.fromkeys(("depth", "funding", "levels", "orders", "touch", "trades"), "mmbot.data.tape"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attribute may be anything
    """Load what is asked for only then: opening a tape needs neither Polars nor the importers."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmbot.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
