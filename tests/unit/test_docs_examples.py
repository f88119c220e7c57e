"""What the pages show is what happens: their files are written, their commands typed, their snippets run.

In a page, a fence with a title is a file, `sh` is typed, `python` is run, `pycon` is a dialogue whose answers must be
those printed, and `toml` without a title must be TOML. Everything happens in one directory for each page, in the order
of the page.
"""

import doctest
import importlib.util
import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.config import Strict, schema

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/first-strategy.md", "docs/config.md", "docs/data.md", "docs/quoting.md", "docs/shadow.md"]
FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"(<!-- What the demo prints;[^\n]*-->\n```text\n)(.*?)(```\n)", re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that looks like the repository to who types there, and keeps what is written."""
    for name in ("configs", "examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in [name for name, module in sys.modules.items() if name.startswith("my_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def type_in(line: str) -> str:
    """Type one command line; what it prints."""
    words = shlex.split(line, comments=True)
    assert words[0] == "mmbot", f"nobody knows how to type {line!r} in a test"
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, f"{line}: {done.output}"
    return done.output


def is_target(line: str) -> bool:
    """Whether the line calls `make` with a target that exists; the targets themselves are too large for a unit test."""
    words = shlex.split(line, comments=True)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return words[:1] == ["make"] and re.search(rf"^{words[1]}:", makefile, re.MULTILINE) is not None


def converse(text: str, names: dict[str, object], page: str) -> None:
    """Run a dialogue; fails with what it answered instead."""
    report: list[str] = []
    dialogue = doctest.DocTestParser().get_doctest(text, names, page, page, 0)
    doctest.DocTestRunner(verbose=False).run(dialogue, out=report.append, clear_globs=False)
    names.update(dialogue.globs)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_happens(page: str, place: Path) -> None:
    """Files can be written as shown, and what is typed or run beside them works."""
    names: dict[str, object] = {"__name__": "a_page"}
    fences = FENCE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert any(language in ("sh", "python", "pycon") for language, _, _ in fences)
    for language, title, text in fences:
        if title:
            (place / title).write_text(text, encoding="utf-8")
        elif language == "sh":
            for line in text.splitlines():
                if not is_target(line):
                    type_in(line)
        elif language == "python":
            exec(compile(text, page, "exec"), names)
        elif language == "pycon":
            converse(text, names, page)
        elif language == "toml":
            tomllib.loads(text)
        else:
            assert language == "text", f"{page}: nobody checks {language!r}"


@pytest.mark.golden
def test_the_readme_shows_what_the_demo_prints(place: Path, pytestconfig: pytest.Config) -> None:
    """Result and attribution in the README are those of the shipped configuration; `make update-golden` renews them."""
    printed = type_in("mmbot backtest configs/backtest.toml --quiet --out demo").splitlines()
    first = next(i for i, line in enumerate(printed) if line.startswith("Net P&L"))
    last = next(i for i, line in enumerate(printed) if line.startswith(" edge after costs"))
    excerpt = "".join(f"{line.rstrip()}\n" for line in printed[first : last + 1])
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    shown = SHOWN.search(text)
    assert shown
    if pytestconfig.getoption("--update-golden"):
        readme.write_text(SHOWN.sub(lambda match: match[1] + excerpt + match[3], text), encoding="utf-8", newline="\n")
    else:
        assert shown[2] == excerpt


def settings() -> list[tuple[str, object]]:
    """Every key of a backtest's configuration with its default."""
    models = [
        it for it in vars(schema).values() if isinstance(it, type) and issubclass(it, Strict) and it is not Strict
    ]
    return [(name, field.default) for model in models for name, field in model.model_fields.items()]


@pytest.mark.parametrize(("key", "default"), settings(), ids=[key for key, _ in settings()])
def test_the_config_page_explains_each_key(key: str, default: object) -> None:
    """Each key has a row, and a plain default stands in it as it is in the code."""
    page = (ROOT / "docs/config.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{key}` \| ([^|]+) \| [^|]{{10,}} \|$", page, re.MULTILINE)
    assert row
    if default is PydanticUndefined and key != "params":
        assert row[1] == "–"
    elif isinstance(default, bool | int | float | str):
        assert row[1] == json.dumps(default)


def test_every_page_is_in_the_navigation() -> None:
    """A page that nothing leads to is not read."""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/.-]+\.md", nav)) == pages


def test_the_example_loads() -> None:
    """The strategy in examples/ can be imported as a user's own."""
    spec = importlib.util.spec_from_file_location("example", ROOT / "examples/follow_the_flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.FollowTheFlow(module.FollowTheFlowConfig()).wake.fill
