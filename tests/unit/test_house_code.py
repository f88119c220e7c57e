"""Rules of the house that no linter knows, checked on the files themselves."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from radon.complexity import cc_visit

ROOT = Path(__file__).parents[2]
CODE_SUFFIXES = {".py", ".pyi", ".rs", ".sh", ".toml"}
TEXT_SUFFIXES = CODE_SUFFIXES | {".md", ".yml", ".yaml", ".json", ".txt", ".in", ".cfg", ".html", ".j2", ""}
BANNED_NAMES = {"utils", "helpers", "manager", "data", "info", "handle", "process", "misc", "common", "base"}
# The design's own name for the package that keeps recorded market data, and for its face in the native core.
NAMED_BY_DESIGN = {"python/mmbot/data", "crates/py/src/data.rs"}


def files_under(*trees: str) -> list[Path]:
    """List the source files below some directories of the repository, without caches."""
    found = (path for tree in trees for path in (ROOT / tree).rglob("*") if path.is_file())
    return sorted(path for path in found if path.suffix in TEXT_SUFFIXES and "__pycache__" not in path.parts)


def named(path: Path) -> str:
    """Say where a file is, as a reader of the repository would."""
    return path.relative_to(ROOT).as_posix()


TREES = ("python", "crates", "tests", "benches", "docs", "configs", "deploy", "tools", ".ci", "requirements")
TOP = sorted(path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT_SUFFIXES and path.name != ".git")
EVERYTHING = [*TOP, *files_under(*TREES)]
CODE = [path for path in EVERYTHING if path.suffix in CODE_SUFFIXES]
PYTHON = [path for path in CODE if path.suffix == ".py"]
PACKAGE = [path for path in PYTHON if path.is_relative_to(ROOT / "python")]
TESTS = [path for path in PYTHON if path.is_relative_to(ROOT / "tests")]


def parsed(path: Path) -> ast.Module:
    """Parse one Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Name every module that a file imports, wherever in the file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def is_test(node: ast.AST) -> bool:
    """Tell a test from other functions."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")


def test_the_rules_look_at_something():
    """A moved directory would make every rule here pass on nothing; it fails instead."""
    assert len(PACKAGE) >= 1
    assert len(TESTS) >= 4
    assert any(path.suffix == ".rs" for path in CODE)
    assert ROOT / "Makefile" in EVERYTHING


def test_every_test_says_in_a_sentence_what_it_proves():
    """Each test has a docstring that ends as a sentence does."""
    mute = [
        f"{named(path)}::{node.name}"
        for path in TESTS
        for node in ast.walk(parsed(path))
        if is_test(node) and not (ast.get_docstring(node) or "").split("\n\n")[0].rstrip().endswith((".", "?", "!"))
    ]
    assert not mute, f"give these tests a one-sentence docstring: {mute}"


def test_every_rust_test_says_what_it_proves():
    """A Rust test has a comment above it or a name of at least three words."""
    pattern = re.compile(
        r"((?:^[ \t]*//[^\n]*\n)?)^[ \t]*#\[test\]\n((?:[ \t]*(?:#\[|//)[^\n]*\n)*)[ \t]*fn (\w+)", re.MULTILINE
    )
    mute = [
        f"{named(path)}::{name}"
        for path in CODE
        if path.suffix == ".rs"
        for above, between, name in pattern.findall(path.read_text(encoding="utf-8"))
        if "//" not in above + between and name.count("_") < 2
    ]
    assert not mute, f"name these tests like sentences, or comment them: {mute}"


def test_no_line_is_longer_than_120():
    """Code and configuration fit in 120 columns."""
    long = [
        f"{named(path)}:{number}"
        for path in CODE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ]
    assert not long, f"longer than 120 characters: {long}"


def test_no_file_is_longer_than_1000_lines():
    """A file holds one idea that can be read in one sitting. A stub describes one module, however large that is."""
    read = [path for path in CODE if path.suffix != ".pyi"]
    long = [named(path) for path in read if len(path.read_text(encoding="utf-8").splitlines()) > 1000]
    assert not long, f"longer than 1000 lines: {long}"


def test_text_files_end_lines_the_same_way_everywhere():
    """Line feeds only, and one at the end, so that files are the same bytes on every system."""
    odd = []
    for path in EVERYTHING:
        content = path.read_bytes()
        if b"\r" in content or (content and not content.endswith(b"\n")):
            odd.append(named(path))
    odd = [name for name in odd if not name.startswith("tests/golden/")]
    assert not odd, f"carriage return, or no final newline: {odd}"


def test_no_function_takes_fifteen_paths():
    """Cyclomatic complexity stays below 15, counted with every boolean operator and comprehension."""
    tangled = [
        f"{named(path)}::{block.fullname} ({block.complexity})"
        for path in PYTHON
        for block in cc_visit(path.read_text(encoding="utf-8"))
        if block.letter != "C" and block.complexity >= 15
    ]
    assert not tangled, f"split these functions: {tangled}"


def test_modules_and_classes_are_named_after_something():
    """No file, directory or class is called by a word that fits everything."""
    empty = set()
    for path in CODE:
        for part in [path, *path.parents]:
            inside = part.is_relative_to(ROOT) and part != ROOT
            if (
                inside
                and part.stem in BANNED_NAMES
                and named(part) not in NAMED_BY_DESIGN | {"data", "tests/unit/data"}
            ):
                empty.add(named(part))
    for path in PYTHON:
        for node in ast.walk(parsed(path)):
            words = re.findall(r"[A-Z][a-z]+", node.name) if isinstance(node, ast.ClassDef) else []
            if words and words[-1].lower() in BANNED_NAMES:
                empty.add(f"{named(path)}::{node.name}")
    assert not empty, f"say what it is: {sorted(empty)}"


def test_no_exception_is_swallowed():
    """No bare except, and no except whose only answer is silence."""
    silent = [
        f"{named(path)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or all(isinstance(line, ast.Pass | ast.Continue) for line in node.body))
    ]
    assert not silent, f"answer the exception, or let it rise: {silent}"


def test_tests_do_not_wait():
    """No test sleeps for real: time.sleep needs the fake clock, and asyncio may only yield."""
    waiting = [
        f"{named(path)}::{node.name}"
        for path in TESTS
        for node in ast.walk(parsed(path))
        if is_test(node) and "fake_clock" not in {argument.arg for argument in node.args.args}
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and re.fullmatch(r"(time|asyncio)\.sleep", ast.unparse(call.func))
        if not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)
    ]
    assert not waiting, f"take the fake_clock fixture instead of waiting: {waiting}"


def test_the_repository_stands_alone():
    """Nothing points at one machine's directories or at a place outside the repository."""
    elsewhere = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+)/|\.\./+shared|/shared/")
    found = [
        f"{named(path)}:{number}"
        for path in EVERYTHING
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if elsewhere.search(line) and path != Path(__file__)
    ]
    assert not found, f"a path that exists on one machine only: {found}"


def test_the_package_does_not_know_its_tests():
    """The shipped package imports no test tool and no test, and mentions no golden file."""
    tools = {"pytest", "hypothesis", "unittest", "tests", "radon"}
    knows = [named(path) for path in PACKAGE if tools & {name.split(".")[0] for name in imports(path)}]
    knows += [named(path) for path in PACKAGE if "tests/golden" in path.read_text(encoding="utf-8")]
    assert not knows, f"the product must not lean on its tests: {knows}"


def test_the_border_holds_no_rust_tests():
    """`make test` leaves crates/py out, since its test binary would need libpython: it is tested from Python."""
    tested = [named(path) for path in files_under("crates/py") if "#[test]" in path.read_text(encoding="utf-8")]
    assert not tested, f"move these to a crate without Python, or to tests/: {tested}"


def test_every_test_file_stands_in_a_known_level():
    """Tests live in the levels that can be run alone."""
    levels = {"unit", "spec", "contract", "golden", "integration", "simulation"}
    stray = [
        named(p) for p in TESTS if p.stem.startswith("test_") and p.relative_to(ROOT / "tests").parts[0] not in levels
    ]
    assert not stray, f"put these under one of {sorted(levels)}: {stray}"


def test_no_two_test_files_share_a_name():
    """Pytest imports them by name alone, so with two of one name no run of all tests can begin."""
    names = Counter(path.name for path in TESTS if path.name != "conftest.py")
    shared = [named(path) for path in TESTS if names[path.name] > 1]
    assert not shared, f"rename all but one: {shared}"


@pytest.mark.parametrize("marker", ["slow"])
def test_markers_are_declared(marker: str):
    """The opt-in marker, the time limit and strict markers are set for every run."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert any(line.startswith(f"{marker}:") for line in options["markers"])
    assert options["timeout"] == 30
    assert "--strict-markers" in options["addopts"]


STRATEGISTS = {
    "SlippageEstimate": "what an order that crosses would pay, for a strategy of your own",
    "SquareRootImpact": "what a large order moves, likewise",
    "estimate": "makes a SlippageEstimate",
    "square_root_impact": "makes a SquareRootImpact",
}
"""Public names of `mmbot.execution` that are measures for whoever writes a strategy, and no policy of a run."""


def names_read(tree: ast.AST) -> set[str]:
    """Every name that a piece of code imports from elsewhere or reads."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(names=names):
                found |= {alias.name for alias in names}
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                found.add(name)
    return found


def unused_policies(package: Path, users: list[Path]) -> list[str]:
    """The public names of a package's modules that nothing outside of their own module reads, nor what it reads there.

    The face of the package is no user.
    """
    reads = {path: names_read(parsed(path)) for path in users if path != package / "__init__.py"}
    unused = []
    for module in (path for path in sorted(package.glob("*.py")) if path.name != "__init__.py"):
        outside = set().union(*(read for path, read in reads.items() if path != module))
        used = outside | set(STRATEGISTS)
        for _ in range(3):  # what a used name is made of is used; three steps reach the answer of an answer
            for node in parsed(module).body:
                if named_by(node) & used:
                    used |= names_read(node)
        unused += [f"{module.stem}.{name}" for name in public(module) if name not in used]
    return unused


def named_by(node: ast.stmt) -> set[str]:
    """The names that a statement of a module defines."""
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)} - {"__all__"}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def public(path: Path) -> list[str]:
    """What a module's `__all__` names."""
    for node in parsed(path).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def test_a_policy_is_used_where_a_run_acts():
    """A policy of `mmbot.execution` that nothing follows is a promise that nobody keeps: use it, or take it out."""
    found = unused_policies(ROOT / "python/mmbot/execution", PACKAGE)
    assert not found, f"nothing outside their own module uses: {found}"


def test_a_policy_that_nothing_follows_is_named(tmp_path: Path):
    """The face of the package is no user, nor is the module itself; what a used policy answers is used with it."""
    (tmp_path / "__init__.py").write_text("from execution.rules import Answer, Idle, busy\n")
    rules = "class Answer: ...\nclass Idle: ...\ndef busy(): return Answer()\nIDLE = Idle()\n"
    (tmp_path / "rules.py").write_text(f'__all__ = ["Answer", "Idle", "busy"]\n{rules}')
    own = [tmp_path / "__init__.py", tmp_path / "rules.py"]
    assert unused_policies(tmp_path, own) == ["rules.Answer", "rules.Idle", "rules.busy"]
    (tmp_path / "users").mkdir()
    user = tmp_path / "users" / "user.py"
    user.write_text("from execution import busy\n")
    assert unused_policies(tmp_path, [*own, user]) == ["rules.Idle"]
