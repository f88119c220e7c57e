"""The test that docs/exchange.md tells people to write, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_passes(tmp_path: Path):
    """The Python of the page is a program that ends well."""
    text = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8")
    section = text.partition("## Test your own bot with it\n")[2].partition("\n## ")[0]
    [program] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert done.returncode == 0, done.stderr
