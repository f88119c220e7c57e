"""What is told at the end of a run."""

import io

from mmbot.runtime.audience import Log
from mmbot.runtime.ended import Ended


def test_the_last_line_can_be_typed(tmp_path):
    """What to try next names the program as it was called, and quotes a folder with a space."""
    out = io.StringIO()
    Log(out, ".venv/bin/mmbot").ended(Ended(folder=tmp_path / "my runs", result=None, failure=None, books=[]))
    last = out.getvalue().splitlines()[-1]
    assert last == f"try next .venv/bin/mmbot replay '{tmp_path / 'my runs'}/journal.mmj' --verify"
