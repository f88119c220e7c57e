"""The engine's end of the socket: a connection that is gone is no error of ours."""

import asyncio
from pathlib import Path

from mmbot.guardian.client import GuardianClient
from mmbot.guardian.link import GuardianLink
from mmbot.guardian.words import PROTOCOL, Hello

HELLO = Hello(protocol=PROTOCOL, environment="simulator", account="1", epoch=1, journal="j")


class Gone:
    """A connection that the other end closed, as uvloop has it, before whoever reads came to hear of it."""

    @property
    def transport(self) -> "Gone":
        """Both ends of the story."""
        return self

    def is_closing(self) -> bool:
        """It is."""
        return True

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def write(self, line: bytes) -> None:
        """What uvloop says then, and the selector loop does not."""
        raise RuntimeError("unable to perform operation on <UnixTransport closed=True>; the handler is closed")

    async def drain(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """Once more."""


def test_words_for_a_connection_that_is_gone_are_dropped(tmp_path: Path):
    """A beat is not sent, and breaks nothing; so is a goodbye."""
    broken: list[BaseException] = []
    client = GuardianClient(
        GuardianLink(HELLO), tmp_path / "none", clock=lambda: 0, freeze=lambda _: None, broken=broken.append
    )
    client._writer = Gone()
    client._send(b"{}\n")
    asyncio.run(client.leave(left=True, why="over"))
    assert (broken, client._writer) == ([], None)
