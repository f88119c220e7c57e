"""Which program this is: one name for every byte of it that could trade differently."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import mmbot

__all__ = ["build_hash"]


@cache
def build_hash() -> str:
    """SHA-256 over the version, the package's Python and its native core, first 16 hex digits. Raises OSError.

    Not in it: Python itself and the libraries, which the lock file names.
    """
    root = Path(mmbot.__file__).parent
    name = hashlib.sha256(mmbot.__version__.encode())
    for path in sorted(path for path in root.rglob("*") if path.suffix in {".py", ".so", ".sql"}):
        name.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        name.update(path.read_bytes())
    return name.hexdigest()[:16]
