"""Recordings become tapes, tapes become frames."""

from mmbot.data.capture import CaptureError
from mmbot.data.clock import ClockPolicy
from mmbot.data.import_ import import_binance, import_bybit
from mmbot.data.import_report import ImportReport
from mmbot.data.import_sse import import_sse
from mmbot.data.tape import depth, funding, levels, open_tape, orders, touch, trades

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
