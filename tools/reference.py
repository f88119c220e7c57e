"""Writes docs/reference from the package: one page for each part of it, one for the command line.

The package is read, not imported, so that the pages need no native core and list what the source says: every public
class with its fields and methods, every public function, every constant that ``__all__`` names, each with the first
sentence of its docstring. Only the command line is imported, because its options exist nowhere else.

Not handled: names that a module creates at run time.
"""

import argparse
import ast
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "mmbot"
PAGES = ROOT / "docs" / "reference"
DEFAULT_LENGTH_MAX = 60
NOTE = "<!-- Written by `make reference` from the source; edit the docstrings instead. -->\n"


def sentence(text: str | None) -> str:
    """Take the first sentence of a docstring, on one line."""
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "." if paragraph else ""


def entry(indent: int, name: str, text: str) -> str:
    """Write one list item."""
    return f"{' ' * indent}- `{name}`" + (f": {text}" if text else "")


def signature(node: ast.FunctionDef | ast.AsyncFunctionDef, *, method: bool = False) -> str:
    """Write a function as a caller sees it: a method without its ``self``, a property without arguments."""
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    if any(mark.endswith("property") for mark in marks):
        return node.name
    arguments = ast.unparse(node.args)
    if method and "staticmethod" not in marks:
        arguments = arguments.partition(", ")[2].removeprefix("/").removeprefix(", ")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({arguments}){returns}"


def said(after: ast.stmt | None) -> str:
    """Take the first sentence of the string that stands after a name and documents it."""
    text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
    return sentence(text if isinstance(text, str) else None)


def field(line: ast.AnnAssign, after: ast.stmt | None) -> str:
    """Write one field with its type and default (a long one is left out); a string after it is its docstring."""
    name = f"{ast.unparse(line.target)}: {ast.unparse(line.annotation)}"
    default = f" = {ast.unparse(line.value)}" if line.value else ""
    shown = name + (default if len(default) <= DEFAULT_LENGTH_MAX else "")
    return entry(2, shown, said(after))


def constrained(line: ast.Assign, after: ast.stmt | None) -> str:
    """Write a type with bounds, which the settings below it are declared with."""
    return entry(0, ast.unparse(line), said(after))


def members(node: ast.ClassDef) -> Iterator[str]:
    """List the public fields and methods of a class, an overloaded method once."""
    for line, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(line, ast.AnnAssign) and not ast.unparse(line.target).startswith("_"):
            yield field(line, after)
        elif isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef) and not line.name.startswith("_"):
            marks = {ast.unparse(mark).split(".")[-1] for mark in line.decorator_list}
            if not marks & {"overload", "setter"}:
                yield entry(2, signature(line, method=True), sentence(ast.get_docstring(line)))


def exported(tree: ast.Module) -> list[str]:
    """Read ``__all__``."""
    for line in tree.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(line.value)]
    return []


def declared(tree: ast.Module) -> list[str]:
    """Read the names that a module without ``__all__``, as a stub is, declares with their type alone."""
    names = [ast.unparse(line.target) for line in tree.body if isinstance(line, ast.AnnAssign)]
    return [name for name in names if not name.startswith("_")]


def public(tree: ast.Module) -> Iterator[str]:
    """List what a module offers."""
    named = set(exported(tree) or declared(tree))
    for line, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(line, ast.ClassDef) and not line.name.startswith("_"):
            named.discard(line.name)
            yield entry(0, line.name, sentence(ast.get_docstring(line)))
            yield from members(line)
        elif isinstance(line, ast.FunctionDef | ast.AsyncFunctionDef) and not line.name.startswith("_"):
            named.discard(line.name)
            yield entry(0, signature(line), sentence(ast.get_docstring(line)))
        elif isinstance(line, ast.AnnAssign) and (name := ast.unparse(line.target)) in named:
            named.discard(name)
            yield field(line, after).strip()
        elif isinstance(line, ast.Assign) and ast.unparse(line.value).startswith("Annotated["):
            yield constrained(line, after)
    yield from (entry(0, name, "") for name in sorted(named))


def module_name(path: Path) -> str:
    """Name the module in a file, as it is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def package_pages() -> dict[str, str]:
    """Write one page for each top-level part of the package."""
    pages: dict[str, str] = {}
    for path in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")], key=module_name):
        name = module_name(path)
        part = name.split(".")[1] if "." in name else "mmbot"
        if part == "__main__" or (part != "_core" and any(word.startswith("_") for word in name.split(".")[1:])):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [f"## {name}", "", sentence(ast.get_docstring(tree)), "", *public(tree)]
        title = f"{NOTE}\n# {'mmbot' if part == 'mmbot' else 'mmbot.' + part}\n"
        page = f"{part.removeprefix('_')}.md"
        pages[page] = pages.get(page, title) + "\n" + "\n".join(lines).rstrip() + "\n"
    return pages


def commands(command: TyperGroup | TyperCommand, path: str) -> Iterator[str]:
    """List a command, its options and everything below it."""
    yield f"\n## {path}\n\n{sentence(command.help)}\n"
    for parameter in command.params:
        if not getattr(parameter, "hidden", False):
            name = ", ".join(parameter.opts) if parameter.param_type_name == "option" else parameter.name.upper()
            yield entry(0, name, sentence(getattr(parameter, "help", "")))
    for name, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from commands(below, f"{path} {name}")


def command_page() -> dict[str, str]:
    """Write the page of the command line, once there is one."""
    if importlib.util.find_spec("mmbot.cli") is None:
        return {}
    root = cast(TyperGroup, get_command(importlib.import_module("mmbot.cli").app))
    text = "\n".join(commands(root, "mmbot"))
    return {"commands.md": f"{NOTE}\n# Commands\n{text.rstrip()}\n"}


def pages() -> dict[str, str]:
    """Write every page, with the index that leads to them."""
    written = {**package_pages(), **command_page()}
    index = "\n".join(f"- [{page.removesuffix('.md')}]({page})" for page in sorted(written))
    return {**written, "index.md": f"{NOTE}\n# Reference\n\nEvery public name, command and setting.\n\n{index}\n"}


def main() -> int:
    """Write the pages, or with ``--check`` only say whether they are what the source says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a page is behind the source")
    check = parser.parse_args().check
    new = pages()
    old = {path.name: path.read_text(encoding="utf-8") for path in PAGES.glob("*.md")}
    behind = sorted(name for name in {*new, *old} if new.get(name) != old.get(name))
    if check:
        if behind:
            sys.stderr.write(f"docs/reference is behind the source in {', '.join(behind)}; run: make reference\n")
        return 1 if behind else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name in behind:
        if name in new:
            (PAGES / name).write_text(new[name], encoding="utf-8", newline="\n")
        else:
            (PAGES / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
