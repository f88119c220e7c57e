"""Refusals of numbers no quoting formula can use; each names the parameter, its value and what was expected."""

import math

__all__ = ["finite", "non_negative", "positive"]


def positive(**parameters: float) -> None:
    """Raise ValueError unless every parameter is finite and above zero."""
    for name, value in parameters.items():
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}; expected a finite number above zero")


def non_negative(**parameters: float) -> None:
    """Raise ValueError unless every parameter is finite and at least zero."""
    for name, value in parameters.items():
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name} is {value!r}; expected a finite number, zero or above")


def finite(**parameters: float) -> None:
    """Raise ValueError if a parameter is NaN or infinite."""
    for name, value in parameters.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; expected a finite number")
