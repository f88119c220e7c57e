"""Documentation that cannot drift: the reference follows the source, records are complete, links lead somewhere."""

import importlib
import importlib.util
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
from typer.main import get_command

import mmbot

ROOT = Path(__file__).parents[2]
REFERENCE = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/reference").glob("*.md")))
RECORDS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def public_names() -> list[str]:
    """List what the imported modules say they offer: the way a user finds a name, not the way the pages are made."""
    names = set()
    for found in pkgutil.walk_packages(mmbot.__path__, "mmbot."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        own = (name for name, value in inspect.getmembers(module) if getattr(value, "__module__", None) == found.name)
        names |= {name for name in getattr(module, "__all__", own) if not name.startswith("_")}
    return sorted(names)


def commands() -> list[str]:
    """List every command by its full path, once there is a command line."""
    if importlib.util.find_spec("mmbot.cli") is None:
        return []
    paths, open_ = [], [("mmbot", get_command(importlib.import_module("mmbot.cli").app))]
    while open_:
        path, command = open_.pop()
        paths.append(path)
        open_ += [
            (f"{path} {name}", below) for name, below in getattr(command, "commands", {}).items() if not below.hidden
        ]
    return paths


def config_keys() -> list[str]:
    """List every setting of a run and of the shipped strategies: the fields of the models in their packages."""
    packages = [importlib.import_module(name) for name in ("mmbot.config", "mmbot.strategies")]
    modules = [*packages, *(importlib.import_module(found.name) for package in packages for found in walk(package))]
    models = {value for module in modules for _, value in inspect.getmembers(module, inspect.isclass)}
    return sorted({field for model in models for field in getattr(model, "model_fields", {})})


def walk(package):
    """List the modules below a package; a plain module has none."""
    return pkgutil.walk_packages(getattr(package, "__path__", []), package.__name__ + ".")


def test_every_name_command_and_setting_is_in_the_reference():
    """What a user can import, type or configure is written down under docs/reference."""
    missing = [name for name in public_names() if not re.search(rf"`{re.escape(name)}\b", REFERENCE)]
    missing += [path for path in commands() if f"## {path}\n" not in REFERENCE]
    missing += [key for key in config_keys() if f"`{key}" not in REFERENCE]
    assert not missing, f"not in docs/reference: {missing}; run: make reference"


def test_the_reference_is_what_the_source_says():
    """The committed pages are the ones that the generator writes now."""
    command = [sys.executable, str(ROOT / "tools/reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_decision_record_is_complete_and_listed(path: Path):
    """Each record has a numbered title, a date, Context, Decision and Consequences, and a line in the index."""
    text = path.read_text(encoding="utf-8")
    title = text.splitlines()[0].removeprefix("# ")
    assert title.startswith(f"{path.stem[:4]}: ")
    assert re.search(r"^Date: \d{4}-\d{2}-\d{2}\. Supersedes: ", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert all(len(part.split()) > 20 for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:])
    assert f"[{title}]({path.name})" in (ROOT / "docs/decisions/index.md").read_text(encoding="utf-8")


def test_decision_records_are_numbered_without_gaps():
    """A number is used once and none is left out."""
    assert [int(path.stem[:4]) for path in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path):
    """Every relative link in a page points at a file of the repository."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)  # code has no links
    links = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", prose)
    broken = [link for link in links if not (path.parent / link).exists()]
    assert not broken, f"dead links: {broken}"


def test_every_target_is_explained():
    """Each phony target of the Makefile has the sentence that `make help` prints."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony
    explained = set(re.findall(r"^([a-z-]+):[^#\n]*## \S", text, re.MULTILINE))
    assert set(phony[1].split()) == explained


def test_the_changelog_puts_safety_first():
    """Each release lists Safety, then Features, then Internals, and nothing else."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    assert releases
    for release in releases:
        headings = re.findall(r"^### (.+)$", release, re.MULTILINE)
        assert headings == [name for name in ("Safety", "Features", "Internals") if name in headings]


ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROSE = re.sub(r"```.*?```", "", ARCHITECTURE, flags=re.DOTALL)
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in [*(ROOT / "crates").rglob("*.rs"), *(ROOT / "python").rglob("*.py*")]
    if path.suffix in {".rs", ".py", ".pyi"}
}


def is_found(name: str, texts: Collection[str]) -> bool:
    """Look for `Type::method`, `Type.method` or a plain name; each part has to stand in one of the texts."""
    parts = re.split(r"::|\.", name)
    if len(parts) == 1:
        return any(re.search(rf"\b{name}\b", text) for text in texts)
    member = rf"\b(?:fn|def) {parts[-1]}\b"
    return any(re.search(member, text) and re.search(rf"\b{parts[-2]}\b", text) for text in texts)


def test_architecture_names_only_what_exists():
    """Each path, package, function and type that the page mentions is in the repository."""
    missing = []
    for name in sorted(set(re.findall(r"`([^`\n]+)`", PROSE))):
        if "/" in name or name.endswith((".rs", ".py", ".md")):
            found = (ROOT / name).exists()
        elif name.startswith("mmbot."):
            found = importlib.util.find_spec(name) is not None
        elif re.fullmatch(r"\w+((::|\.)\w+)*", name):
            found = (ROOT / name).is_dir() or is_found(name, SOURCES.values())
        else:
            found = False
        missing += [] if found else [name]
    assert not missing, f"ARCHITECTURE.md names what is not there: {missing}"


def test_architecture_walks_through_the_files_it_names():
    """In a row of the walk, each function is one of the file that the row begins with."""
    rows = re.findall(r"^\| `([\w/]+\.(?:rs|py))` \| (.+) \|$", PROSE, re.MULTILINE)
    assert len(rows) >= 20
    lost = [
        f"{name} in {path}"
        for path, words in rows
        for name in re.findall(r"`([\w:.]+)`", words)
        if not is_found(name, [SOURCES[ROOT / path]])
    ]
    assert not lost, f"ARCHITECTURE.md looks for these in the wrong file: {lost}"
