"""The HTML report: self-contained, harmless, complete and small enough to mail."""

import base64
import json
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from synthetic_run import START, Parts, equity_row, fill_row, result_of, run_facts

from mmbot.research import report
from mmbot.research.charts import POINTS

UTC = "1970-01-01T00:00:00Z"


def html_of(result):
    """The report of a result at a frozen time."""
    return report.render(result.summary(), result.frames, utc=UTC)


def figures_of(html):
    """The charts that a report hands to plotly.js, by id."""
    text = re.search(r'id="figures">(.*?)</script>', html, re.DOTALL).group(1)
    return {figure["id"]: figure for figure in json.loads(text)}


def numbers(packed):
    """An array as plotly.js would unpack it."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<f8")


def own_part(html):
    """The report without the embedded library."""
    start = html.index("<script>/**")
    return html[:start] + html[html.index("</script>", start) :]


@pytest.fixture(scope="module")
def page(busy):
    """The report of the busy run."""
    return html_of(busy)


class TestTimeOfWriting:
    """When a report says it was written."""

    @pytest.mark.parametrize(
        ("environ", "expected"),
        [
            ({"MM_FREEZE_UTC": "1"}, UTC),
            ({"MM_FREEZE_UTC_ISO": "2025-03-01T12:00:00Z"}, "2025-03-01T12:00:00Z"),
            ({"MM_FREEZE_UTC_ISO": "2025-03-01T12:00:00+02:00"}, "2025-03-01T10:00:00Z"),
            ({"MM_FREEZE_UTC_ISO": "2025-03-01T12:00:00"}, "2025-03-01T12:00:00Z"),
            ({"MM_FREEZE_UTC": "1", "MM_FREEZE_UTC_ISO": "2025-03-01"}, "2025-03-01T00:00:00Z"),
        ],
    )
    def test_frozen_time_is_what_the_environment_says(self, environ, expected):
        """The explicit time wins over the flag, and zones are converted to UTC."""
        assert report.utc_now(environ) == expected

    @pytest.mark.parametrize("environ", [{}, {"MM_FREEZE_UTC": "0"}, {"MM_FREEZE_UTC": ""}])
    def test_time_runs_unless_frozen(self, environ):
        """Without the variables it is the clock's time, in the same form."""
        assert report.frozen_utc(environ) is None
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", report.utc_now(environ))

    @pytest.mark.parametrize("environ", [{"MM_FREEZE_UTC": "yes"}, {"MM_FREEZE_UTC_ISO": "yesterday"}])
    def test_a_frozen_time_that_is_none_is_refused(self, environ):
        """Silently using the clock would make files that only look reproducible."""
        with pytest.raises(ValueError, match="MM_FREEZE_UTC"):
            report.utc_now(environ)


class TestPage:
    """The file as a whole."""

    def test_fetches_nothing(self, page):
        """No address outside the embedded library, and a policy that forbids every request."""
        mine = own_part(page)
        assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", mine)
        assert not re.findall(r"<(?:link|img|iframe)\b|\bsrc=|@import|url\(", mine)
        assert "default-src 'none'" in mine
        assert page.count("plotly.js v") == 1

    def test_says_what_ran_and_how_to_repeat_it(self, page, busy):
        """All hashes in full, seed, version, laws, limitations and time of writing."""
        run = busy.run
        facts = (run.run_id, run.mode, run.version, run.config_hash, run.code_hash, run.commands_hash, run.state_hash)
        for fact in (*facts, *run.tape_hashes, *run.limitations, *run.laws.values(), UTC, "2023-11-14 22:13:20 UTC"):
            assert fact in page

    def test_shows_the_numbers_of_the_summary(self, page, busy):
        """Headline P&L and the markouts in the page are those of the summary."""
        summary = busy.summary()
        assert f"{summary.total.pnl.pnl:+,.2f} USDT" in page
        for mark in summary.total.markouts_maker:
            assert f"{mark.move_bps.value:+.3f}" in page

    def test_every_chart_is_explained_and_has_its_place(self, page):
        """Each figure has exactly one element of its id and one line on how to read it."""
        figures = figures_of(page)
        assert list(figures) == [
            "price-0", "position-0", "price-1", "position-1", "attribution", "equity", "markouts", "queue", "ages",
        ]  # fmt: skip
        for name in figures:
            assert len(re.findall(f'<div id="{name}"', page)) == 1
        assert page.count('<p class="reading">') >= len(figures)

    def test_text_from_outside_cannot_become_markup(self):
        """A law or a symbol that looks like a tag is shown, not run."""
        evil = "</script><script>alert(1)</script>"
        run = run_facts(evil, laws={"queue": evil}, limitations=(evil,), run_id=evil)
        row = equity_row(0, instrument=evil)
        result = result_of(equity=[row, equity_row(1, instrument=evil)], run=run)
        html = html_of(result)
        assert evil not in html
        assert "alert(1)" in html
        assert len(figures_of(html)) == 4

    def test_a_silent_run_has_a_page_without_charts(self, silent):
        """Nothing to draw draws nothing, and the numbers say n/a with a reason."""
        html = html_of(silent)
        assert figures_of(html) == {}
        assert html.count("n/a") > 20
        assert "no order was placed" in html

    def test_an_unexplained_rest_is_shown_and_rounding_is_not(self):
        """A residual of a cent matters; one of 1e-12 is floating point."""
        rest = Parts(residual=0.01)
        assert "unexplained" in html_of(result_of(attribution={"BTCUSDT": rest, "total": rest}))
        dust = replace(rest, residual=1e-12)
        assert "unexplained" not in html_of(result_of(attribution={"BTCUSDT": dust, "total": dust}))

    def test_a_large_run_stays_small_enough_to_mail(self, single):
        """A hundred thousand samples and fills: under 8 MB, and the thinning is said."""
        count = 100_000
        ts = START + np.arange(count, dtype=np.int64) * 1_000_000_000
        walk = 100.0 + np.cumsum(np.random.default_rng(4).normal(size=count)) * 1e-3
        moved = [pl.Series("ts", ts), pl.Series("mid", walk), pl.Series("equity", walk - 100.0)]
        first = np.zeros(count, dtype=np.int64)
        equity = single.equity[first].with_columns(moved)
        fills = single.fills[first].with_columns(ts_venue=ts, ts_recv=ts, price=walk, mid=walk)
        html = html_of(replace(single, equity=equity, fills=fills))
        assert len(html.encode()) < 8_000_000
        assert "of 100,000 fills" in html
        drawn = figures_of(html)["equity"]["data"][0]
        assert numbers(drawn["y"]).max() == walk.max() - 100.0
        assert len(numbers(drawn["y"])) <= POINTS + 2


def test_notebook_view_is_small_and_harmless(busy):
    """A cell shows the headline and the attribution, without a script and without the library."""
    html = busy._repr_html_()
    assert "<script" not in html
    assert len(html) < 20_000
    assert "adverse selection" in html


def test_a_taker_is_told_from_a_maker_on_the_price():
    """Four kinds of fill, four kinds of marker."""
    fills = [fill_row(side=side, maker=maker) for side in (1, -1) for maker in (True, False)]
    figures = figures_of(html_of(result_of(fills=fills, equity=[equity_row(0), equity_row(1)])))
    symbols = [trace["marker"]["symbol"] for trace in figures["price-0"]["data"] if trace["mode"] == "markers"]
    assert sorted(symbols) == ["triangle-down", "triangle-down-open", "triangle-up", "triangle-up-open"]
