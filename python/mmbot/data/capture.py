"""Lines of a recording, one at a time: plain, gzip, zstd or zip, told by their first bytes, not by their name."""

import gzip
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import zstandard

LINE_BYTES_MAX = 64 << 20
"""Longer than any frame of any venue; lines are cut here, so that a file without line ends can not fill the memory."""


class CaptureError(ValueError):
    """A recording that can not be imported at all. The message names the file and what to do."""


class Line(msgspec.Struct, frozen=True):
    """One line: its place (index of the file, number from 1) and its bytes without the line end."""

    source: int
    number: int
    raw: bytes


class Cut(msgspec.Struct, frozen=True):
    """A compressed source ends early, as after a killed recorder: everything before it has been delivered."""

    source: int
    number: int
    reason: str


def _opened(path: Path) -> BinaryIO:
    raw = path.open("rb")
    magic = raw.peek(4)[:4]
    if magic[:2] == b"\x1f\x8b":
        return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="rb"))
    if magic == b"\x28\xb5\x2f\xfd":
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return cast("BinaryIO", io.BufferedReader(reader, 1 << 20))
    if magic == b"PK\x03\x04":
        raw.close()
        return _only_member(path)
    return raw


def _only_member(path: Path) -> BinaryIO:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise CaptureError(f"{path}: an archive of {len(names)} files; give one with the recording alone")
            return cast("BinaryIO", archive.open(names[0]))  # outlives the archive, which stays open for it
    except zipfile.BadZipFile as error:
        raise CaptureError(f"{path}: the archive is damaged: {error}; copy it again") from error


def lines(sources: Sequence[Path]) -> Iterator[Line | Cut]:
    """Every non-empty line of the sources, in order, as one recording.

    Raises:
        CaptureError: No source, or one that is missing or empty.
    """
    if not sources:
        raise CaptureError("no recording given; name at least one file")
    for index, path in enumerate(sources):
        if not path.is_file():
            raise CaptureError(f"{path}: no such file; give the path of a recording (plain, .gz, .zst or .zip)")
        if path.stat().st_size == 0:
            raise CaptureError(f"{path}: the file is empty; record or copy it again")
        yield from _lines_of(index, path)


def _lines_of(index: int, path: Path) -> Iterator[Line | Cut]:
    number = 0
    with _opened(path) as stream:
        while True:
            try:
                raw = stream.readline(LINE_BYTES_MAX)
            except (EOFError, OSError, zstandard.ZstdError, zipfile.BadZipFile) as error:
                yield Cut(index, number + 1, f"the compressed file can not be read beyond here: {error}")
                return
            if not raw:
                return
            number += 1
            raw = raw.rstrip(b"\r\n")
            if raw:
                yield Line(index, number, raw)
