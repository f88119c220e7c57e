"""Which tape is meant by a name."""

from os import PathLike

from mmbot import samples
from mmbot._core import Tape

SAMPLE = "sample:"
"""What a bundled tape's name begins with."""


def open_tape(path: str | PathLike[str]) -> Tape:
    """Opens a `.tape` (mapped), a `.tapez` (unpacked into memory), or a bundled one, as `sample:NAME`.

    Raises OSError, TapeFault, or ValueError naming the known samples.
    """
    if isinstance(path, str) and path.startswith(SAMPLE):
        return samples.sample(path.removeprefix(SAMPLE))
    return Tape.open(path)
