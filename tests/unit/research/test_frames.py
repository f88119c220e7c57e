"""The frames of a run: what is refused, and the equity of the whole."""

import numpy as np
import polars as pl
import pytest
from synthetic_run import NS, START, equity_row, fill_row, frame, order_row

from mmbot.research.frames import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA, Frames, ResultError, standing


def frames_of(fills=(), orders=(), equity=()):
    """Frames from rows."""
    return Frames(
        fills=frame(FILLS_SCHEMA, fills), orders=frame(ORDERS_SCHEMA, orders), equity=frame(EQUITY_SCHEMA, equity)
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"fills": [fill_row(), fill_row(price=None)]}, r"fills\.price: row 1 is null"),
        ({"fills": [fill_row(mid=float("nan"))]}, r"fills\.mid: row 0 is nan"),
        ({"fills": [fill_row(), fill_row(mid_5s=float("inf"))]}, r"fills\.mid_5s: row 1 is inf"),
        ({"fills": [fill_row(side=2)]}, r"fills\.side: 2 is none of"),
        ({"orders": [order_row(state="lost")]}, r"orders\.state: 'lost' is none of"),
        ({"equity": [equity_row(1), equity_row(0)]}, r"equity: ts falls"),
    ],
)
def test_impossible_rows_are_refused_with_their_place(rows, message):
    """The error names the frame, the column, the row and what was found."""
    with pytest.raises(ResultError, match=message):
        frames_of(**rows)


def test_a_missing_column_and_a_wrong_type_are_named():
    """A frame from another schema is refused before anything is computed from it."""
    whole = frames_of([fill_row()])
    with pytest.raises(ResultError, match=r"fills: column 'mid' is missing"):
        Frames(fills=whole.fills.drop("mid"), orders=whole.orders, equity=whole.equity)
    with pytest.raises(ResultError, match=r"fills\.side: expected Int8, got Int64"):
        Frames(fills=whole.fills.cast({"side": pl.Int64}), orders=whole.orders, equity=whole.equity)


def test_further_columns_are_allowed():
    """The engine side may carry more than this side reads."""
    whole = frames_of([fill_row()])
    extended = whole.fills.with_columns(desk=pl.lit("night"))
    assert Frames(fills=extended, orders=whole.orders, equity=whole.equity).fills.width == len(FILLS_SCHEMA) + 1


def test_instruments_sampled_apart_are_added_as_they_stand():
    """BTC at 0 s and 2 s, ETH at 1 s only: ETH counts from the start with its first value."""
    frames = frames_of(
        equity=[
            equity_row(0, equity=1.0, position=1.0),
            equity_row(1, instrument="ETHUSDT", equity=10.0, position=-2.0, mid=50.0),
            equity_row(2, equity=3.0, position=2.0),
        ]
    )
    ts, equity, exposure = frames.equity_curve()
    assert ((ts - START) // NS).tolist() == [0, 1, 2]
    assert equity.tolist() == [11.0, 11.0, 13.0]
    assert exposure.tolist() == [0.0, 0.0, 100.0]


def test_a_sample_stands_until_the_next():
    """Before the first sample the first one is the best that is known."""
    assert standing(np.array([10, 20]), np.array([5, 10, 15, 20, 25])).tolist() == [0, 0, 0, 1, 1]
