"""Reads the tables of a spec: Markdown that a trader can read and a test can execute."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """One table under one heading; each row maps column names to cells."""

    title: str
    line: int
    rows: tuple[dict[str, str], ...]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(path: Path) -> Iterator[Table]:
    """The tables of a file, in order. Raises ValueError for a row whose cells do not match its header."""
    title, header, rows, start = "", [], [], 0
    for number, line in enumerate([*path.read_text(encoding="utf-8").splitlines(), ""], 1):
        if line.startswith("#"):
            title = line.lstrip("# ")
        if not line.startswith("|"):
            if rows:
                yield Table(title, start, tuple(rows))
            header, rows = [], []
        elif not header:
            header, start = _cells(line), number
        elif not re.fullmatch(r"[|\s:-]+", line):
            cells = _cells(line)
            if len(cells) != len(header):
                raise ValueError(f"{path.name}:{number}: {len(cells)} cells under {len(header)} columns")
            rows.append(dict(zip(header, cells, strict=True)))
