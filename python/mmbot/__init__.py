"""mmbot: an open trading system that has to prove itself before it trades."""

from mmbot._core import __version__

__all__ = ["__version__"]
