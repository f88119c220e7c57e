"""The hashed locks are complete, in step with pyproject.toml and with each other, and name no index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN = PROJECT["project"]["dependencies"]
GROUPS = PROJECT["dependency-groups"]
LOCKED = {
    "run": RUN,
    "dev": [*RUN, *GROUPS["dev"], *GROUPS["docs"]],
    "tools": [line for line in (ROOT / "requirements/tools.in").read_text().splitlines() if not line.startswith("#")],
}


def pins(name: str) -> list[Requirement]:
    """Read the pinned requirements of one lock, markers included."""
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    return [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if re.match(r"[A-Za-z0-9]", line)]


@pytest.mark.parametrize("name", LOCKED)
def test_the_lock_answers_every_declared_dependency(name: str):
    """Each declared name is pinned, at versions that the declaration allows."""
    locked: dict[str, list[Requirement]] = {}
    for pin in pins(name):
        locked.setdefault(canonicalize_name(pin.name), []).append(pin)
    for declared in map(Requirement, LOCKED[name]):
        found = locked.get(canonicalize_name(declared.name))
        assert found, f"{declared.name} is in pyproject.toml and not in requirements/{name}.txt; run: make lock"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            assert declared.specifier.contains(version, prereleases=True), f"{pin} is not {declared}; run: make lock"


@pytest.mark.parametrize("name", LOCKED)
def test_every_pin_is_exact_and_hashed(name: str):
    """A lock is only `name==version` lines, each with its sha256 hashes; it names no index, file or link."""
    text = (ROOT / f"requirements/{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[A-Za-z0-9])", "\n" + re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))[1:]
    assert entries
    for entry in entries:
        first, *hashes = [line.strip().rstrip("\\ ") for line in entry.strip().splitlines()]
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.!+]+( ; .+)?$", first), first
        assert hashes, f"{first} has no hash"
        for line in hashes:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line), f"{first}: {line}"


def test_developers_run_what_users_run():
    """The developers' lock pins each runtime dependency to the very version of the runtime lock."""
    run, dev = ({(pin.name, str(pin.specifier)) for pin in pins(name)} for name in ("run", "dev"))
    assert run <= dev, f"not in requirements/dev.txt: {run - dev}; run: make lock"


def test_the_native_core_is_locked_too():
    """Cargo.lock knows every crate of the workspace, and every foreign crate there comes with a checksum."""
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    members = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["members"]
    names = {
        tomllib.loads((ROOT / path / "Cargo.toml").read_text(encoding="utf-8"))["package"]["name"] for path in members
    }
    assert {package["name"] for package in locked if "source" not in package} == names
    assert [package["name"] for package in locked if "source" in package and "checksum" not in package] == []
