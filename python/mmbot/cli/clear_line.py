"""How every command ends that cannot do what it was asked: one line that says why, and exit code 1."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["one_clear_line"]


@contextmanager
def one_clear_line(*more: type[Exception]) -> Iterator[None]:
    """Turn what a person can mend (ValueError, OSError and `more`) into one line on stderr and exit code 1.

    A strategy's own traceback stands before the line, without our frames.
    """
    answered: tuple[type[Exception], ...] = (ValueError, OSError, *more)
    try:
        yield
    except answered as error:
        _show_strategy(error)
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _show_strategy(error: Exception) -> None:
    from mmbot.research.backtest import StrategyError  # noqa: PLC0415  only a run that failed needs it

    cause = error.__cause__ if isinstance(error, StrategyError) else None
    frames = cause.__traceback__.tb_next if cause is not None and cause.__traceback__ is not None else None
    if cause is not None and frames is not None:
        typer.echo("".join(traceback.format_exception(cause.with_traceback(frames))), err=True, nl=False)
