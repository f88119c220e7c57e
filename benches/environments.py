"""Where the peers live: one virtual environment each under `.tools/peers`, made from pinned requirements when missing.

A stamp holds the requirements an environment was made from: one that was left half made, or whose pins have moved, is
made again. What cannot be had (no interpreter, no network, no wheel) is said, never an error of the whole run.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".tools" / "peers"


class PeerMissing(Exception):  # noqa: N818 (a fact about this machine)
    """A peer cannot be run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A peer's interpreter and packages."""

    name: str
    least_python: tuple[int, int]

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        return ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """The pins it is made from."""
        return Path(__file__).parent / "peers" / f"requirements-{self.name}.txt"

    def is_ready(self) -> bool:
        """Whether it was made to its end, from the pins of today."""
        stamp = self.folder / "made-from"
        return self.python.exists() and stamp.exists() and stamp.read_text() == self.requirements.read_text()

    def ensure(self) -> None:
        """Make it unless it is ready. Raises PeerMissing with the reason when that cannot be done."""
        if self.is_ready():
            return
        uv = shutil.which("uv", path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
        if uv is None:
            raise PeerMissing("uv is neither in .tools/bin nor on the path; `make setup` installs it")
        python = interpreter(self.least_python)
        _told([uv, "venv", "-q", "--clear", "--no-project", "--python", python, str(self.folder)])
        _told([uv, "pip", "install", "-q", "--python", str(self.python), "-r", str(self.requirements)])
        (self.folder / "made-from").write_text(self.requirements.read_text())


def interpreter(least: tuple[int, int]) -> str:
    """A Python on this machine that starts and is new enough: our own, one on the path, one that pyenv keeps.

    Each is asked, because a name on the path may be a shim that leads nowhere. Raises PeerMissing.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    named = [shutil.which(f"python3.{minor}") for minor in (13, 12, 14)]
    kept = sorted((str(path) for path in pyenv.glob("3.*/bin/python3")), reverse=True)
    question = f"import sys; sys.exit(sys.version_info < {least})"
    for candidate in (sys.executable, *named, *kept):
        if candidate and subprocess.run([candidate, "-c", question], capture_output=True, check=False).returncode == 0:
            return candidate
    raise PeerMissing("no Python {}.{} or newer was found on the path or in {}".format(*least, pyenv))


def _told(command: list[str]) -> None:
    """Run a command; PeerMissing with the first line of its own words if it fails."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        words = [line.strip(" ×╰─▶") for line in ended.stderr.splitlines() if line.strip()]
        raise PeerMissing(f"{' '.join(words[:2]) or 'no reason given'} (`{' '.join(command[1:4])} …`)")


PEERS = {
    "hftbacktest": Environment(name="hftbacktest", least_python=(3, 11)),
    "nautilus": Environment(name="nautilus", least_python=(3, 12)),
}
