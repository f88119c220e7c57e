"""mmbot: an open trading system that has to prove itself before it trades.

    import mmbot
    from mmbot.strategy import Strategy, quotes

    result = mmbot.backtest("configs/backtest.toml")
    print(result)

What a strategist needs is in `mmbot.strategy`; what a run can be told, in `mmbot.config`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmbot._core import __version__

if TYPE_CHECKING:
    from mmbot.research.backtest import backtest as backtest
    from mmbot.research.backtest import backtest_many as backtest_many
    from mmbot.research.result import Result as Result
    from mmbot.research.walkforward import walk_forward as walk_forward

__all__ = ["Result", "__version__", "backtest", "backtest_many", "walk_forward"]

_HOMES = {
    "backtest": "mmbot.research.backtest",
    "backtest_many": "mmbot.research.backtest",
    "Result": "mmbot.research.result",
    "walk_forward": "mmbot.research.walkforward",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401  a module's attribute may be anything
    """Load what is asked for only then: `import mmbot` and the quoting formulas stay quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mmbot' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
