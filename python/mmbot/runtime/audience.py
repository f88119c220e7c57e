"""Who watches a run: a person at a terminal, a log, or a machine."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from rich.console import Console
from rich.live import Live

from mmbot.runtime.screen import event_line, screen, status_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.runtime.board import Board
    from mmbot.runtime.ended import Ended

__all__ = ["Log", "Machine", "Screen", "Unshaken", "Watcher"]

SCREEN_S, LINE_S, EVENT_S = 0.25, 5.0, 1.0
"""How often a screen, a log and a machine are told how the run is."""


class Watcher(Protocol):
    """Watches a run from its first event to its end."""

    def told(self, event: dict[str, Any]) -> None:
        """Hear of something that happened."""

    def watch(self, board: Board) -> None:
        """Begin to look at a run, in its loop."""

    def leave(self) -> None:
        """Look no more; show the last state."""

    def ended(self, ended: Ended) -> None:
        """Hear how it ended and where its report is."""


class Unshaken:
    """A watcher whose end is not the run's: a closed pipe or a full disk under the log takes the view, not the quotes.

    What went wrong first is kept in `trouble`; nothing is shown after it.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.trouble: Exception | None = None

    def _show(self, show: Callable[[], None]) -> None:
        if self.trouble is None:
            try:
                show()
            except Exception as error:  # noqa: BLE001  whatever a view dies of, the orders are looked after
                self.trouble = error

    def told(self, event: dict[str, Any]) -> None:
        """Tell of an event."""
        self._show(lambda: self._watcher.told(event))

    def watch(self, board: Board) -> None:
        """Begin to look."""
        self._show(lambda: self._watcher.watch(board))

    def leave(self) -> None:
        """Look no more."""
        self._show(self._watcher.leave)

    def ended(self, ended: Ended) -> None:
        """Tell of the end."""
        self._show(lambda: self._watcher.ended(ended))


class _Looking:
    """Looks at the board every so often."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self.board: Board | None = None

    def begin(self, board: Board, look: Callable[[Board], None]) -> None:
        self.board = board
        self._task = asyncio.get_running_loop().create_task(self._look(board, look))

    async def _look(self, board: Board, look: Callable[[Board], None]) -> None:
        while True:
            look(board)
            await asyncio.sleep(self._every_s)

    def end(self) -> None:
        """Look no more. Raises what ended the looking before."""
        if self._task is not None:
            if self._task.done():
                self._task.result()
            self._task.cancel()


class Screen:
    """A person at a terminal: one screen, renewed in place; events above it. `program`: how mmbot is called there."""

    def __init__(self, console: Console | None = None, program: str = "mmbot") -> None:
        self._console, self._program = console or Console(), program
        self._looking = _Looking(SCREEN_S)
        self._live: Live | None = None

    def told(self, event: dict[str, Any]) -> None:
        """Show what a person has to know above the screen; fills are on it."""
        line = None if event["event"] == "fill" else event_line(event)
        if line is not None:
            self._console.print(line, highlight=False)

    def watch(self, board: Board) -> None:
        """Open the screen."""
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()
        self._looking.begin(board, self._show)

    def _show(self, board: Board) -> None:
        if self._live is not None:
            self._live.update(screen(board.status(), self._console), refresh=True)

    def leave(self) -> None:
        """Close the screen with the last state on it."""
        self._looking.end()
        if self._live is not None and self._looking.board is not None:
            self._show(self._looking.board)
            self._live.stop()

    def ended(self, ended: Ended) -> None:
        """Show the result as a backtest's."""
        from mmbot.research import terminal  # noqa: PLC0415

        if ended.result is not None:
            self._console.print(terminal.screen(ended.result.summary()))
        for line in closing_lines(ended, self._program):
            self._console.print(line, highlight=False, soft_wrap=True)


class Log:
    """A log or a pipe: a line for each event, and one now and then that says how it is.

    `program`: how mmbot is called there.
    """

    def __init__(self, out: TextIO, program: str = "mmbot") -> None:
        self._out, self._program = out, program
        self._looking = _Looking(LINE_S)

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def told(self, event: dict[str, Any]) -> None:
        """Write an event as a line."""
        line = event_line(event)
        if line is not None:
            self._say(line)

    def watch(self, board: Board) -> None:
        """Begin with the status lines."""
        self._looking.begin(board, lambda shown: self._say(status_line(shown.status())))

    def leave(self) -> None:
        """Write the last status line."""
        self._looking.end()
        if self._looking.board is not None:
            self._say(status_line(self._looking.board.status()))

    def ended(self, ended: Ended) -> None:
        """Write the summary and where the report is."""
        if ended.result is not None:
            self._say(str(ended.result))
        for line in closing_lines(ended, self._program):
            self._say(line)


class Machine:
    """A machine: one JSON object per line, the first key is `event`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._looking = _Looking(EVENT_S)

    def told(self, event: dict[str, Any]) -> None:
        """Write an event."""
        self._out.write(json.dumps(event, separators=(",", ":")) + "\n")
        self._out.flush()

    def watch(self, board: Board) -> None:
        """Begin with the status events."""
        self._looking.begin(board, lambda shown: self.told(shown.status().as_event()))

    def leave(self) -> None:
        """Write the last status."""
        self._looking.end()
        if self._looking.board is not None:
            self.told(self._looking.board.status().as_event())

    def ended(self, ended: Ended) -> None:
        """Write how it ended."""
        failure = None if ended.failure is None else str(ended.failure)
        summary = None if ended.result is None else json.loads(ended.result.summary().as_json(utc=""))
        self.told({"event": "ended", "folder": str(ended.folder), "failure": failure, "summary": summary})


def closing_lines(ended: Ended, program: str = "mmbot") -> list[str]:
    """Where everything is, and what to type next."""
    folder = ended.folder
    lines = [f"journal  {folder}/journal.mmj", f"tapes    {folder}/tapes"]
    if ended.result is not None:
        lines.insert(0, f"report   {folder}/report/report.html")
    return [*lines, f"try next {program} replay {shlex.quote(f'{folder}/journal.mmj')} --verify"]
