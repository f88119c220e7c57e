"""Recorded markets that come with the package, so that a first run needs no download. See samples/ATTRIBUTION.md."""

from __future__ import annotations

from pathlib import Path

from mmbot._core import Tape

FOLDER = Path(__file__).parent.parent / "samples"
PREFIX = "sample:"


def names() -> list[str]:
    """Names of the bundled tapes."""
    return sorted(path.stem for path in FOLDER.glob("*.tapez"))


def path_of(tape: str) -> Path:
    """The file of a tape: a path as it is, or a bundled one by ``sample:NAME``. Raises ValueError for an unknown name."""
    if not tape.startswith(PREFIX):
        return Path(tape)
    name = tape.removeprefix(PREFIX)
    if name not in names():
        raise ValueError(f"no bundled tape {name!r}; there are: {', '.join(names())}")
    return FOLDER / f"{name}.tapez"


def open_tape(tape: str) -> Tape:
    """Open a tape by path or by ``sample:NAME``. Raises ValueError, OSError or TapeFault."""
    return Tape.open(path_of(tape))
