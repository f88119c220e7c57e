"""Counted facts, by the names under which they are exported: what a source of data or an export did so far."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """Numbers by metric name and labels. A counter only grows; a gauge is set."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def add(self, name: str, by: float = 1, **labels: str) -> None:
        """Let a counter grow. Raises ValueError for a negative step."""
        if by < 0:
            raise ValueError(f"{name}: a counter does not fall, got a step of {by}")
        series = _series(name, labels)
        self._values[series] = self._values.get(series, 0) + by

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge, or make a counter appear at zero before its first event."""
        self._values[_series(name, labels)] = value

    def value(self, name: str, **labels: str) -> float:
        """A number so far; 0 for a counter without an event."""
        return self._values.get(_series(name, labels), 0)

    def all(self) -> dict[str, float]:
        """Every series, `name{label="value"}`, sorted."""
        return dict(sorted(self._values.items()))


def _series(name: str, labels: dict[str, str]) -> str:
    if not labels:
        return name
    words = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{words}}}"
