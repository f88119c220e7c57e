"""Whatever is done to a journal is found, by the core's reader and by the verifier that shares no code with it.

Both read the same bytes and must say the same: how many entries are good, and what is wrong with the next one.
"""

from __future__ import annotations

import importlib.util
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot import _core

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

VERSION_1 = Path(__file__).parents[1] / "golden" / "journal" / "version-1.mmj"
TOOL = Path(__file__).parents[2] / "tools" / "verify_journal.py"
HEAD, RECORD = 72, 64
NOTES = 9


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_journal", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


offline = _tool()


@dataclass(frozen=True)
class Sample:
    """A journal of three segments with four records each at most, and its head after each entry."""

    octets: bytes
    heads: Mapping[int, str]

    def parts(self) -> list[tuple[int, int]]:
        """(begin, end) of each head and record, in order."""
        parts, at = [], 0
        while at < len(self.octets):
            is_head = self.octets.startswith(b"MMBOTJNL", at)
            length = HEAD if is_head else RECORD + struct.unpack_from("<I", self.octets, at)[0]
            parts.append((at, at + length))
            at += length
        return parts

    def records(self) -> list[tuple[int, int]]:
        """(begin, end) of each record."""
        return [part for part in self.parts() if not self.octets.startswith(b"MMBOTJNL", part[0])]


def _sample() -> Sample:
    disk = _core.SimDisk()
    journal = _core.Journal.on(disk, 1, '{"mode": "test"}', segment_records=4)
    heads = dict([journal.head()])
    for number in range(NOTES):
        journal.note(2 + number, "said", f"note {number}" * (number + 1))
        journal.sync()
        heads |= dict([journal.head()])
    return Sample(disk.durable(), heads)


SAMPLE = _sample()
LAST = len(SAMPLE.heads)
ANCHOR = {LAST: SAMPLE.heads[LAST]}

WORDS = {
    "not a journal": "head",
    "written in version": "newer",
    "is damaged": "damaged",
    "was rewritten": "rewritten",
    "was cut short": "short",
}


def told(octets: bytes, anchors: Mapping[int, str]) -> tuple[int, str, int]:
    """What the core says: good entries, kind of fault or "", bytes of a torn end."""
    entries = 0
    try:
        reader = _core.JournalReader(octets, list(anchors.items()))
        for entries, _ in enumerate(reader, 1):  # noqa: B007  how far it came
            pass
    except _core.JournalFault as error:
        return entries, next(kind for words, kind in WORDS.items() if words in str(error)), 0
    return entries, "", 0 if reader.torn is None else reader.torn[1]


def both(octets: bytes, anchors: Mapping[int, str] = ANCHOR) -> tuple[int, str, int]:
    """What the core says, after making sure that the other verifier says the same."""
    mine, other = told(octets, anchors), offline.check(octets, dict(anchors))
    # With its anchor missing at the end, the core has read one entry more than it may return as good.
    entries = other.entries - (other.fault == "rewritten")
    assert mine == (entries, other.fault, 0 if other.torn is None else other.torn[1])
    return mine


def test_the_verifier_has_its_own_hash_and_checksum() -> None:
    """BLAKE3 and CRC-32C of the specifications' own examples, also of more than one chunk."""
    assert offline.crc32c(b"123456789") == 0xE3069283
    assert offline.blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    pattern = bytes(at % 251 for at in range(3073))
    assert offline.blake3(pattern[:1024]).hex().startswith("42214739f095a406f3fc83deb889744a")
    assert offline.blake3(pattern).hex().startswith("7124b49501012f81cc7f11ca069ec922")


def test_what_nobody_touched_is_good() -> None:
    """Both read all entries, and every head fits."""
    assert both(SAMPLE.octets, SAMPLE.heads) == (LAST, "", 0)


def test_a_flipped_bit_of_every_byte_is_found() -> None:
    """Length, checksum, number, time, kind, version, zeros, chain, payload, each field of each head: all are found."""
    for at in range(len(SAMPLE.octets)):
        harmed = bytearray(SAMPLE.octets)
        harmed[at] ^= 1 << at % 8
        good, fault, _ = told(bytes(harmed), ANCHOR)
        begun = sum(end <= at for _, end in SAMPLE.records())
        assert fault in {"head", "damaged", "short"}, f"byte {at}"
        assert good == (0 if fault == "head" else begun), f"byte {at}"
        assert told(bytes(harmed), {})[:2] == (good, fault), f"byte {at}: without its anchor it passes for torn"


def test_a_flipped_bit_of_every_byte_of_the_version_before_is_found() -> None:
    """Version 1 has one segment and the shorter chain: its anchor finds every flip and every cut."""
    octets = VERSION_1.read_bytes()
    reader = _core.JournalReader(octets)
    count = sum(1 for _ in reader)
    anchor = {count: reader.head}
    assert told(octets, anchor) == (count, "", 0)
    for at in range(len(octets)):
        harmed = bytearray(octets)
        harmed[at] ^= 1 << at % 8
        assert told(bytes(harmed), anchor)[1] in {"head", "damaged", "newer"}, f"byte {at}"
        assert told(octets[:at], anchor)[1] in {"head", "short"}, f"cut at byte {at}"


def test_the_verifier_agrees_on_flipped_bits() -> None:
    """The other verifier says the same of each, here for every seventh byte: it is slow."""
    for at in range(0, len(SAMPLE.octets), 7):
        harmed = bytearray(SAMPLE.octets)
        harmed[at] ^= 1 << at % 8
        both(bytes(harmed))


def test_a_cut_at_every_byte_is_found_by_the_anchor() -> None:
    """Cut at a whole entry or inside one: short of what was anchored; without the anchor, a whole or a torn journal."""
    whole = {HEAD, *(end for _, end in SAMPLE.parts())}
    for at in range(HEAD, len(SAMPLE.octets)):
        good = sum(end <= at for _, end in SAMPLE.records())
        assert told(SAMPLE.octets[:at], ANCHOR) == (good, "short", 0)
        entries, fault, torn = told(SAMPLE.octets[:at], {})
        assert (entries, fault, torn > 0) == (good, "", at not in whole)


def test_a_cut_at_every_entry_is_found_by_both() -> None:
    """At each boundary and in the middle of each part, the two say the same with and without the anchor."""
    for begin, end in SAMPLE.parts()[1:]:
        for at in (begin, (begin + end) // 2):
            both(SAMPLE.octets[:at])
            both(SAMPLE.octets[:at], {})


def test_parts_taken_out_put_in_twice_or_swapped_are_found() -> None:
    """Each head and record, sound by itself, in the wrong place: named where it stands."""
    parts = [SAMPLE.octets[begin:end] for begin, end in SAMPLE.parts()]
    for at in range(1, len(parts)):
        good = sum(end <= SAMPLE.parts()[at][0] for _, end in SAMPLE.records())
        for changed in (
            parts[:at] + parts[at + 1 :],
            [*parts[:at], parts[at], *parts[at:]],
            parts[:at] + parts[at : at + 2][::-1] + parts[at + 2 :],
        ):
            if changed != parts:
                found, fault, _ = both(b"".join(changed))
                assert fault in {"damaged", "short"}
                assert good <= found <= good + 1


def forged(octets: bytes, at: int, payload: bytes) -> bytes:
    """The journal with another payload in record `at`, and all that follows made to fit, as one who may write could."""
    head = octets[:HEAD]
    out, before, seq, place = bytearray(head), offline.blake3(head), 0, HEAD
    chain = bytes(32)
    while place < len(octets):
        if octets.startswith(b"MMBOTJNL", place):
            head = bytearray(octets[place : place + HEAD])
            head[32:64] = chain
            head[68:] = struct.pack("<I", offline.crc32c(bytes(head[:68])))
            out, before, place = out + head, offline.blake3(bytes(head)), place + HEAD
            continue
        length = struct.unpack_from("<I", octets, place)[0]
        fixed, said = octets[place + 8 : place + 32], octets[place + RECORD : place + RECORD + length]
        said = payload if seq == at else said
        chain = before = offline.blake3(fixed + before + said)
        body = fixed + chain + said
        out += struct.pack("<II", len(said), offline.crc32c(body)) + body
        place, seq = place + RECORD + length, seq + 1
    return bytes(out)


@pytest.mark.parametrize("at", range(1, LAST))
def test_a_tail_written_anew_fits_itself_and_not_the_anchor(at: int) -> None:
    """One who changes entry k and computes every chain and checksum after it passes alone, and fails the anchor."""
    octets = forged(SAMPLE.octets, at, struct.pack("<I", 4) + b"said" + b"something else")
    assert both(octets, {}) == (LAST, "", 0)
    good, fault, _ = both(octets)
    assert (good, fault) == (LAST - 1, "rewritten")
    # With more anchors the place is closer: the first one after the change does not fit.
    assert both(octets, SAMPLE.heads) == (at, "rewritten", 0)


def test_what_no_anchor_covers_cannot_be_told() -> None:
    """Stated, not hidden: entries after the last anchor can be cut off or written anew, and nobody can know."""
    anchor = {4: SAMPLE.heads[4]}
    end = SAMPLE.records()[5][0]
    assert both(SAMPLE.octets[:end], anchor) == (5, "", 0)
    assert both(forged(SAMPLE.octets, 7, b"\4\0\0\0said!"), anchor) == (LAST, "", 0)


@st.composite
def harmed(draw: st.DrawFn) -> bytes:
    """The sample after a few careless or careful hands."""
    octets = bytearray(SAMPLE.octets)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(octets) - 1, 0)))
        length = draw(st.integers(0, 200))
        match draw(st.sampled_from(["flip", "cut", "drop", "copy", "write", "end"])):
            case "flip" if octets:
                octets[at] ^= draw(st.integers(1, 255))
            case "cut":
                del octets[at:]
            case "drop":
                del octets[at : at + length]
            case "copy":
                octets[at:at] = octets[at : at + length]
            case "write":
                octets[at : at + 8] = draw(st.binary(min_size=8, max_size=8))
            case _:
                octets += draw(st.binary(max_size=100))
    return bytes(octets)


@pytest.mark.fuzz
@settings(deadline=None)  # the other verifier is slow
@given(harmed(), st.booleans())
def test_the_two_verifiers_agree_on_whatever_is_left(octets: bytes, anchored: bool) -> None:
    """No bytes make either of them fail in another way than by saying so, and they say the same."""
    good, fault, _ = both(octets, ANCHOR if anchored else {})
    if anchored and fault == "":
        assert octets.startswith(SAMPLE.octets)
        assert good == LAST


def asked(*words: str) -> tuple[int, str]:
    """Exit code of the verifier as a program, and what it printed."""
    done = subprocess.run([sys.executable, str(TOOL), *words], capture_output=True, text=True, timeout=20, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_verifier_as_a_program_tells_apart_good_bad_unproven_and_not_looked_at(tmp_path: Path) -> None:
    """Exit 0, 1, 3 and 2; a file that is not there and an anchor that is none are one line, no traceback."""
    path = tmp_path / "journal.mmj"
    path.write_bytes(SAMPLE.octets)
    anchor = f"{LAST}:{SAMPLE.heads[LAST]}"
    assert asked(str(path), "--anchor", anchor)[0] == 0
    assert "without an anchor" in asked(str(path))[1]
    path.write_bytes(SAMPLE.octets[:-1])
    code, said = asked(str(path))
    assert code == 3
    assert "not proven: the end is torn" in said
    assert asked(str(path), "--anchor", anchor)[0] == 1
    code, said = asked(str(tmp_path / "none.mmj"))
    assert code == 2
    assert "No such file" in said
    for wrong in ("12", "x:" + "0" * 64, "12:zz", ":"):
        code, said = asked(str(path), "--anchor", wrong)
        assert code == 2
        assert "is no anchor" in said
