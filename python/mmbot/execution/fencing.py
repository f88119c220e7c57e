"""What a fence answers that holds a request back: who asks is no longer, or not yet, the one that trades.

A venue checks no fencing token, but it refuses a request that is older than its receive window. So the time that a
request will carry is read first, the lease is compared with that very time, and only then is it signed: however long
the process sleeps after that, the request expires at the venue by itself.
"""

__all__ = ["FencedError"]


class FencedError(Exception):
    """A request may not leave: the lease does not cover the time that it would be signed with. Says both times."""
