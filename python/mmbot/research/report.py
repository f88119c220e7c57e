"""One self-contained HTML file about a run: open it offline, mail it, print it.

plotly.js is embedded once and nothing is fetched: no CDN, no web font, and a content security policy that would block
any request. The same result at the same (frozen) time gives the same bytes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from mmbot.research import wording
from mmbot.research.charts import charts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

    from mmbot.research.charts import Chart
    from mmbot.research.frames import Frames
    from mmbot.research.summary import Summary

FREEZE = "MM_FREEZE_UTC"
FREEZE_ISO = "MM_FREEZE_UTC_ISO"
EPOCH = "1970-01-01T00:00:00Z"


def utc_now(environ: Mapping[str, str]) -> str:
    """The time of writing as ISO 8601 in UTC, to the second; the frozen one where the environment asks for it.

    `MM_FREEZE_UTC_ISO` gives the time itself and wins; `MM_FREEZE_UTC=1` means 1970-01-01T00:00:00Z. Raises ValueError
    for a frozen time that is none: a file that only looks reproducible is worse than an error.
    """
    return frozen_utc(environ) or _iso(datetime.now(UTC))


def frozen_utc(environ: Mapping[str, str]) -> str | None:
    """The frozen time of the environment, or None where time runs."""
    if wanted := environ.get(FREEZE_ISO, ""):
        try:
            moment = datetime.fromisoformat(wanted)
        except ValueError as error:
            raise ValueError(f"{FREEZE_ISO}={wanted!r} is no ISO 8601 time; expected e.g. {EPOCH}") from error
        return _iso(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    match environ.get(FREEZE, ""):
        case "" | "0":
            return None
        case "1":
            return EPOCH
        case other:
            raise ValueError(f"{FREEZE}={other!r} is neither 0 nor 1; for a time of your own use {FREEZE_ISO}")


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render(summary: Summary, frames: Frames, *, utc: str) -> str:
    """The report as HTML text: numbers from the summary, curves from the frames.

    `utc` is the time of writing that it shows (`utc_now`).
    """
    from plotly.offline import get_plotlyjs  # noqa: PLC0415  as jinja2: needed by who writes a page, not by every run

    drawn = charts(summary, frames)
    page = _templates().get_template("report.html.j2")
    return page.render(
        summary=summary,
        run=summary.run,
        charts=drawn,
        figures=_script_json(drawn),
        plotly_js=get_plotlyjs().replace("</script", "<\\/script"),
        utc=utc,
        words=wording,
    )


def notebook(summary: Summary) -> str:
    """Headline and attribution as a small piece of HTML for a notebook cell."""
    return _templates().get_template("notebook.html.j2").render(summary=summary, words=wording)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    return Environment(
        loader=PackageLoader("mmbot.research"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _script_json(drawn: tuple[Chart, ...]) -> str:
    """The charts as JSON that cannot close the script element it stands in, whatever a symbol is called."""
    figures = [{"id": one.id, "data": one.data, "layout": one.layout, "onTime": one.on_time} for one in drawn]
    return json.dumps(figures, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
