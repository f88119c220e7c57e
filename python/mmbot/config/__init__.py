"""What a person may write into a configuration, and how a slip of the pen is answered."""

from mmbot.config.strict import Strict

__all__ = ["Strict"]
