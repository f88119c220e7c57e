"""Charts: what thinning keeps, and that lines say what the frames say."""

import base64

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmbot.research.charts import charts, packed, thin


def unpacked(array):
    """An array as plotly.js would read it."""
    return np.frombuffer(base64.b64decode(array["bdata"]), dtype="<f8")


class TestThin:
    """Thinning of long series."""

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=500), st.integers(8, 100))
    def test_keeps_ends_and_extremes_in_few_points(self, values, points):
        """First, last, lowest and highest sample survive, in order, and there are no more points than asked for."""
        series = np.array(values)
        kept = thin(np.arange(series.size, dtype=np.int64) * 7, series, points)
        assert kept[0] == 0
        assert kept[-1] == series.size - 1
        assert (np.diff(kept) > 0).all()
        assert kept.size <= points
        assert series[kept].min() == series.min()
        assert series[kept].max() == series.max()

    @given(st.data())
    def test_keeps_gaps(self, data):
        """Where a quote was missing, the line still breaks."""
        size = data.draw(st.integers(50, 300))
        hole = data.draw(st.integers(0, size - 1))
        series = np.linspace(0.0, 1.0, size)
        series[hole] = np.nan
        kept = thin(np.arange(size, dtype=np.int64), series, 20)
        assert hole in kept
        assert kept.size <= 20 + 5

    def test_copes_with_a_series_that_is_all_gap(self):
        """A side that was never quoted has ends and nothing else that matters."""
        kept = thin(np.arange(1000, dtype=np.int64), np.full(1000, np.nan), 40)
        assert {0, 999} <= set(kept.tolist())

    def test_copes_with_samples_at_one_instant(self):
        """Many samples with the same time have no span to slice."""
        series = np.arange(100.0)
        kept = thin(np.zeros(100, dtype=np.int64), series, 8)
        assert kept.tolist() == [0, 99]


def test_numbers_are_packed_exactly():
    """What plotly.js unpacks is what went in, bit for bit, NaN included."""
    values = np.array([0.1, -1e300, np.nan, 30_000.5])
    assert unpacked(packed(values)).tobytes() == values.tobytes()


def test_attribution_lines_add_up_to_the_pnl(single):
    """At the end of the chart, the coloured lines sum to net P&L and to the equity gained."""
    drawn = {chart.id: chart for chart in charts(single.summary(), single.frames)}
    *parts, net = drawn["attribution"].data
    assert net["name"] == "net P&L"
    last = [unpacked(trace["y"])[-1] for trace in parts]
    assert np.isclose(sum(last), unpacked(net["y"])[-1])
    equity = single.equity["equity"]
    assert np.isclose(unpacked(net["y"])[-1], equity[-1] - equity[0])


def test_histograms_of_age_hold_every_order_once(single):
    """Each group of bars adds up to a hundred per cent."""
    ages = next(chart for chart in charts(single.summary(), single.frames) if chart.id == "ages")
    assert [trace["name"] for trace in ages.data] == ["at a maker fill", "when cancelled"]
    for trace in ages.data:
        assert np.isclose(sum(trace["y"]), 100.0, atol=1e-3)


def test_markout_bands_surround_their_lines(busy):
    """Where there is a band, the line runs inside it."""
    drawn = next(chart for chart in charts(busy.summary(), busy.frames) if chart.id == "markouts")
    traces = {trace["name"]: trace for trace in drawn.data}
    band, line = traces["maker, 95 %"], dict(zip(traces["maker"]["x"], traces["maker"]["y"], strict=True))
    half = len(band["x"]) // 2
    assert half >= 2
    for x, low, high in zip(band["x"][:half], band["y"][:half], band["y"][half:][::-1], strict=True):
        assert low < line[x] < high
