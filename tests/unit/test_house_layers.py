"""The import contracts of pyproject.toml, broken on purpose in a toy package: one that cannot fail protects nothing."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECIDING = ("strategies", "quoting", "risk", "execution")
OUTSIDE = {"asyncio", "socket", "time", "random"}
WATCHING = ("dryrun", "shadow", "shadow_market", "shadow_sources", "shadow_wiring", "watch")
ORDERING = ("bybit/account", "bybit/http", "bybit/private", "bybit/session", "bybit/trade", "fake")
# The packages and modules that the contracts name have to exist.
NAMED = dict.fromkeys(
    [
        *(f"{name}/__init__.py" for name in ("strategies", "quoting", "venues")),
        *(f"ops/{name}.py" for name in WATCHING),
        *(f"venues/{name}.py" for name in ORDERING),
        "gateway/__init__.py",
        "runtime/__init__.py",
        *(f"guardian/{name}.py" for name in ("claims", "core", "link", "lived", "words")),
        "__init__.py",
        "research/backtest.py",
    ],
    "",
)


def lint(tree: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Write a package of these files and check it with the project's own contracts."""
    for name, text in {**NAMED, **files}.items():
        path = tree / "mmbot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    command = [Path(sys.executable).parent / "lint-imports", "--config", ROOT / "pyproject.toml", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("files", "broken"),
    [
        ({"venues/wire.py": "import mmbot.cli.app", "cli/app.py": ""}, "Dependencies point one way BROKEN"),
        ({"venues/wire.py": "import mmbot.strategies.maker", "strategies/maker.py": ""}, "one way BROKEN"),
        ({"toolbox.py": ""}, "mmbot.toolbox"),
        ({"quoting/spread.py": "import time"}, "rolls no dice BROKEN"),
        ({"risk/freeze.py": "import mmbot.ledger.fold", "ledger/fold.py": "import socket"}, "rolls no dice BROKEN"),
        (
            {"research/sweep.py": "import mmbot.data.tape", "data/tape.py": "import mmbot.research.sweep"},
            "cycles BROKEN",
        ),
        ({"ops/shadow.py": "import mmbot.venues.bybit.session"}, "no way to order BROKEN"),
        (
            {"ops/shadow_sources.py": "import mmbot.wiring", "wiring.py": "import mmbot.venues.bybit.session"},
            "no way to order BROKEN",
        ),
        ({"guardian/core.py": "import mmbot.quoting.spread", "quoting/spread.py": ""}, "shares nothing with what it"),
        ({"gateway/core.py": "import mmbot.quoting.spread", "quoting/spread.py": ""}, "knows no strategy BROKEN"),
        (
            {"ops/watch.py": "import mmbot.wiring", "wiring.py": "import mmbot.venues.bybit.session"},
            "The shadow of a run has no way to order BROKEN",
        ),
    ],
    ids=[
        "upward",
        "between strangers",
        "without a place",
        "a clock",
        "a socket at second hand",
        "in a circle",
        "a shadow that orders",
        "a shadow that orders at second hand",
        "a guardian that quotes",
        "a gateway that quotes",
        "the shadow of a run that orders",
    ],
)
def test_a_wrong_import_breaks_a_contract(files: dict[str, str], broken: str, tmp_path: Path):
    """An import against the layers, of a clock or in a circle, and a module without a layer, are all reported."""
    done = lint(tmp_path, files)
    assert done.returncode == 1
    assert broken in done.stdout


def test_the_designed_imports_keep_every_contract(tmp_path: Path):
    """From the command line down to the ledger, each layer may use those below it, and research may read the wire."""
    done = lint(
        tmp_path,
        {
            "cli/app.py": "import mmbot.wiring, mmbot.ops.soak",
            "ops/soak.py": "import mmbot.wiring",
            "wiring.py": "import mmbot.research.sweep",
            "research/sweep.py": "import time, mmbot.data.tape, mmbot.venues.wire",
            "data/tape.py": "import mmbot.venues.wire",
            "venues/wire.py": "import asyncio",
            "strategies/maker.py": "import mmbot.quoting.spread, mmbot.strategy",
            "quoting/spread.py": "import math, mmbot.signals",
            "strategy.py": "import mmbot.config",
            "config.py": "",
            "signals.py": "",
        },
    )
    assert done.returncode == 0, done.stdout


def test_what_decides_imports_no_clock_at_first_hand():
    """The contract's wildcard covers the modules of a package but not its __init__; this covers both."""
    found = []
    package = ROOT / "python/mmbot"
    for path in [file for name in DECIDING for file in [*package.glob(f"{name}.py"), *package.glob(f"{name}/**/*.py")]]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in OUTSIDE]
    assert not found, f"pass the time, the numbers or the answer in instead: {found}"
