"""The generator of docs/reference, on a small package of its own."""

import ast
import importlib.util
from pathlib import Path

import pytest
import typer
from typer.main import get_command

SOURCE = '''
"""Where orders stand. More words."""

__all__ = ["Line", "LIMIT", "join"]

LIMIT: int = 3
Size = Annotated[int, Field(ge=1)]
"""Lots that can be sent. At least one."""

class Line:
    """A queue
    of orders. With details."""

    ahead: int
    """Lots in front of us. Never negative."""
    _hidden: int

    @property
    def empty(self) -> bool:
        """Nobody waits."""

    def leave(self, lots: int, /, *, behind: bool = False) -> None:
        """Take lots away."""

    @staticmethod
    def of(lots: int) -> "Line":
        """Start one."""

    def _secret(self) -> None: ...

def join(line: Line) -> int:
    """Stand at the end."""

def _private() -> None: ...
'''


@pytest.fixture
def reference():
    """Load tools/reference.py, which is a program and not part of the package."""
    spec = importlib.util.spec_from_file_location("reference", Path(__file__).parents[2] / "tools/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_module_is_listed_as_its_caller_sees_it(reference):
    """Public names appear with one sentence each; private ones do not."""
    assert list(reference.public(ast.parse(SOURCE))) == [
        "- `LIMIT: int = 3`",
        "- `Size = Annotated[int, Field(ge=1)]`: Lots that can be sent.",
        "- `Line`: A queue of orders.",
        "  - `ahead: int`: Lots in front of us.",
        "  - `empty`: Nobody waits.",
        "  - `leave(lots: int, /, *, behind: bool=False) -> None`: Take lots away.",
        "  - `of(lots: int) -> 'Line'`: Start one.",
        "- `join(line: Line) -> int`: Stand at the end.",
    ]


def test_a_command_line_is_listed_to_its_last_option(reference):
    """Nested commands appear under their full path, with arguments and options."""
    app, tape = typer.Typer(help="The root."), typer.Typer(help="About tapes.")

    @app.callback()
    def root() -> None:
        """The root."""

    @tape.command()
    def show(
        path: str = typer.Argument(help="Which tape."), rows: int = typer.Option(5, help="How many. At most.")
    ) -> None:
        """Print a tape. All of it."""

    app.add_typer(tape, name="tape")
    text = "\n".join(reference.commands(get_command(app), "mmbot"))
    assert "## mmbot tape show\n\nPrint a tape.\n" in text
    assert "- `PATH`: Which tape.\n- `--rows`: How many." in text


def test_what_drifted_is_named(reference, monkeypatch, tmp_path: Path, capsys):
    """A page behind its source fails the check by name; writing the pages mends it and removes what is gone."""
    monkeypatch.setattr(reference, "PAGES", tmp_path)
    (tmp_path / "gone.md").write_text("old")
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert reference.main() == 1
    assert "gone.md" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["reference.py"])
    assert reference.main() == 0
    assert not (tmp_path / "gone.md").exists()
    monkeypatch.setattr("sys.argv", ["reference.py", "--check"])
    assert reference.main() == 0
