"""`mmbot journal`: verify, show, export, cut, from the command line down."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from mmbot import _core
from mmbot.cli import app
from mmbot.guardian.anchors import AnchorKeeper
from mmbot.guardian.words import Head
from mmbot.ops.account_state import AccountState
from mmbot.ops.journal_check import check_journal
from mmbot.ops.journal_view import KINDS

START = 1_764_288_000_000_000_000
"""2025-11-28T00:00:00 UTC."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with a journal of eight entries, and anchors of it beside, signed after entries 4 and 8."""
    folder = tmp_path / "20251128T000000Z-paper"
    folder.mkdir()
    keeper = AnchorKeeper(tmp_path / "anchors.jsonl")
    journal = _core.Journal.create(folder / "journal.mmj", START, "{}", segment_records=3)
    for number in range(1, 8):
        if number == 7:
            journal.end(START + 7, "{}")
        else:
            journal.note(START + number, "fill" if number % 2 else "link", f'{{"client_id": "mm-{number}"}}')
            journal.sync()
        if number in {3, 7}:
            seq, chain = journal.head()
            keeper.keep(Head(journal=f"{folder.name}/journal.mmj", seq=seq, chain=chain), START)
    keeper.close()
    return folder


def asked(*words: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    result = CliRunner().invoke(app, ["journal", *words])
    return result.exit_code, result.output


def test_a_good_journal_is_good_and_its_anchors_vouch_for_it(run: Path) -> None:
    """Exit 0, by folder or by file, with what was looked at; without anchors it is said what cannot be known."""
    anchors = str(run.parent / "anchors.jsonl")
    code, said = asked("verify", str(run), "--anchors", anchors, "--json")
    found = json.loads(said)
    assert code == 0
    assert (found["entries"], found["segments"], found["anchors"], found["vouched"]) == (8, 3, 2, 8)
    code, said = asked("verify", str(run / "journal.mmj"))
    assert code == 0
    assert "no anchor: " in said


def test_the_anchors_of_its_own_account_are_found(run: Path) -> None:
    """They lie beside the runs, and the answer says which were used; a journal that was cut fails them unasked."""
    state = AccountState.of(run.parent, "testnet", "7")
    for name in ("anchors.jsonl", "guardian.pub"):
        (state.path / name).write_bytes((run.parent / name).read_bytes())
    AccountState.of(run.parent, "testnet", "8")
    found = json.loads(asked("verify", str(run), "--json")[1])
    assert (found["verdict"], found["anchors"], found["anchors_file"]) == ("good", 2, str(state.anchors))
    assert str(state.anchors) in asked("verify", str(run))[1]
    (run / "journal.2.mmj").unlink()
    code, said = asked("verify", str(run))
    assert code == 1
    assert "8 entries were anchored and 6 are here" in said


def test_a_torn_end_is_not_called_good(run: Path) -> None:
    """Exit 3: nobody knows whether the record that is not whole was ever more. With its anchor it is short: exit 1."""
    last = run / "journal.2.mmj"
    last.write_bytes(last.read_bytes()[:-1])
    code, said = asked("verify", str(run))
    assert code == 3
    assert "NOT PROVEN  1 record after the last good entry is not whole (byte 165, " in said
    code, said = asked("verify", str(run), "--json")
    assert (code, json.loads(said)["verdict"]) == (3, "not proven")
    assert asked("verify", str(run), "--anchors", str(run.parent / "anchors.jsonl"))[0] == 1


def test_entries_after_the_last_anchor_are_counted(run: Path) -> None:
    """Whole and chained, and nobody vouches that they are all."""
    anchors = run.parent / "anchors.jsonl"
    anchors.write_bytes(anchors.read_bytes().splitlines(keepends=True)[0])
    code, said = asked("verify", str(run), "--anchors", str(anchors))
    assert code == 0
    assert "they vouch for 4, not for the 4 entries after the last anchor" in said
    assert "good as far as it is here; nobody vouches for 4 of 8 entries" in said


def test_a_flip_in_the_last_record_is_bad_without_an_anchor(run: Path) -> None:
    """No unfinished write leaves a whole record with a wrong bit."""
    last = run / "journal.2.mmj"
    octets = bytearray(last.read_bytes())
    octets[-1] ^= 1
    last.write_bytes(octets)
    code, said = asked("verify", str(run))
    assert code == 1
    assert "no unfinished write leaves this: all of the record is here" in said


def test_the_first_bad_entry_is_named(run: Path) -> None:
    """Exit 1, with the entry, its segment, its place in it and what is wrong."""
    file = run / "journal.1.mmj"
    octets = bytearray(file.read_bytes())
    octets[80] ^= 1
    file.write_bytes(octets)
    code, said = asked("verify", str(run))
    assert code == 1
    assert "damaged at entry 3 (segment 1, byte 72): its checksum does not fit" in said


def test_a_journal_cut_short_is_found_by_its_anchors(run: Path) -> None:
    """The last segment is gone: whole by itself, and two entries short of what was anchored."""
    (run / "journal.2.mmj").unlink()
    assert asked("verify", str(run))[0] == 0
    code, said = asked("verify", str(run), "--anchors", str(run.parent / "anchors.jsonl"))
    assert code == 1
    assert "8 entries were anchored and 6 are here" in said


def test_anchors_of_nobody_are_refused(run: Path, tmp_path: Path) -> None:
    """Without a line of this journal, signed by another key, or with a key that is none: one clear line, exit 2."""
    moved = run.rename(run.parent / "elsewhere")
    anchors = str(tmp_path / "anchors.jsonl")
    assert "no anchor of elsewhere/journal.mmj" in asked("verify", str(moved), "--anchors", anchors)[1]
    (tmp_path / "other").mkdir()
    AnchorKeeper(tmp_path / "other" / "anchors.jsonl").close()
    other = str(tmp_path / "other" / "guardian.pub")
    code, said = asked("verify", str(moved), "--anchors", anchors, "--key", other)
    assert code == 2
    assert "did not sign" in said
    none = tmp_path / "none"
    none.write_text("zz", "ascii")
    code, said = asked("verify", str(moved), "--anchors", anchors, "--key", str(none))
    assert code == 2
    assert "expected an Ed25519 public key" in said


def test_a_journal_that_is_not_there_is_no_bad_one(run: Path) -> None:
    """Exit 2, and whether the anchors of its account say that it was there once."""
    code, said = asked("verify", str(run.parent / "never" / "journal.mmj"))
    assert (code, "nothing says that it ever was" in said) == (2, True)
    state = AccountState.of(run.parent, "testnet", "7")
    for name in ("anchors.jsonl", "guardian.pub"):
        (state.path / name).write_bytes((run.parent / name).read_bytes())
    (run / "journal.mmj").unlink()
    code, said = asked("verify", str(run))
    assert (code, f"is not there, and was: {state.anchors}" in said) == (2, True)
    code, said = asked("verify", str(run), "--json")
    assert (code, json.loads(said)["verdict"]) == (2, "not looked at")


def test_anchors_that_vouch_for_nothing_are_not_called_all(run: Path) -> None:
    """A journal that differs from its first record on is bad, and no line of the answer reads like good."""
    file = run / "journal.mmj"
    octets = bytearray(file.read_bytes())
    octets[80] ^= 1
    file.write_bytes(octets)
    code, said = asked("verify", str(run), "--anchors", str(run.parent / "anchors.jsonl"))
    assert code == 1
    assert "not one vouches for any of them" in said
    lines = said.splitlines()
    assert [line for line in lines if "all of them" in line or line.startswith("good")] == []
    assert any(line.startswith("BAD  ") for line in lines)


def test_a_kind_that_there_is_not_is_refused(run: Path) -> None:
    """It would read like an empty journal; the kinds are those of the core."""
    code, said = asked("show", str(run), "--kind", "nosuch")
    assert code == 1
    assert "no entry is of kind 'nosuch'; expected one of run_start, event, " in said
    source = (Path(__file__).parents[3] / "crates/journal/src/entry.rs").read_text(encoding="utf-8")
    assert tuple(re.findall(r'Self::\w+ => "([a-z_]+)",', source)) == KINDS


def test_entries_are_chosen_by_kind_text_and_time(run: Path) -> None:
    """Every option must fit; lines for people, JSON for programs."""
    code, said = asked("show", str(run), "--kind", "note", "--client", "mm-3")
    assert code == 0
    assert said.split() == [
        "3",
        "2025-11-28T00:00:00.000000003Z",
        "note",
        "topic=fill",
        'text={"client_id":',
        '"mm-3"}',
    ]
    code, said = asked("show", str(run), "--since", str(START + 2), "--until", str(START + 3), "--json")
    assert [json.loads(line)["seq"] for line in said.splitlines()] == [2, 3]
    assert asked("show", str(run), "--since", "2025-11-28T00:00:01")[1] == ""
    assert asked("show", str(run), "--order", "1")[1] == ""
    assert "is no time" in asked("show", str(run), "--since", "yesterday")[1]


def test_all_entries_leave_as_json_lines_or_parquet(run: Path, tmp_path: Path) -> None:
    """Both hold every entry; another ending is refused."""
    assert asked("export", str(run), str(tmp_path / "all.jsonl"))[0] == 0
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text("utf-8").splitlines()]
    assert [line["kind"] for line in lines] == ["run_start", *["note"] * 6, "run_end"]
    assert asked("export", str(run), str(tmp_path / "all.parquet"))[0] == 0
    frame = pl.read_parquet(tmp_path / "all.parquet")
    assert frame["seq"].to_list() == list(range(8))
    assert json.loads(frame["fields"][3]) == lines[3]["fields"]
    assert "expected .jsonl or .parquet" in asked("export", str(run), str(tmp_path / "all.csv"))[1]


def test_a_torn_end_is_cut_on_the_anchors_word_alone(run: Path) -> None:
    """A torn record after the last anchor goes; one that was anchored does not, and nothing changes."""
    anchors = str(run.parent / "anchors.jsonl")
    assert "nothing was cut" in asked("cut", str(run), "--anchors", anchors)[1]
    last = run / "journal.2.mmj"
    whole = last.read_bytes()
    begun = struct.pack("<IIQ", 16, 0x1234, 8)
    last.write_bytes(whole + begun)
    code, said = asked("cut", str(run), "--anchors", anchors)
    assert (code, last.read_bytes()) == (0, whole)
    assert "16 bytes" in said
    last.write_bytes(whole[:-1])
    code, said = asked("cut", str(run), "--anchors", anchors)
    assert (code, last.read_bytes()) == (1, whole[:-1])
    assert "8 entries were anchored and 7 are here" in said


def test_whatever_is_done_to_the_files_of_the_segments_is_found(run: Path) -> None:
    """Bytes flipped, a file cut, gone, doubled, swapped, of another journal: bad, by the anchors of its account."""
    anchors = run.parent / "anchors.jsonl"
    files = sorted(run.glob("journal*.mmj"), key=lambda path: (len(path.name), path.name))
    whole = {path: path.read_bytes() for path in files}
    other = run.parent / "other"
    other.mkdir()
    _core.Journal.create(other / "journal.mmj", START, "{}", segment_records=3)

    def verdict(**changed: bytes | None) -> str:
        for path, octets in whole.items():
            put = changed.get(path.name.removesuffix(".mmj").replace(".", "_"), octets)
            if put is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(put)
        return check_journal(run, anchors).verdict

    assert verdict() == "good"
    first, second, third = whole.values()
    for name, octets in (("journal", first), ("journal_1", second), ("journal_2", third)):
        for at in range(0, len(octets), 11):
            flipped = bytearray(octets)
            flipped[at] ^= 1 << at % 8
            assert verdict(**{name: bytes(flipped)}) == "bad", f"{name}, byte {at}"
            assert verdict(**{name: octets[:at]}) == "bad", f"{name}, cut at {at}"
    assert verdict(journal_1=None) == verdict(journal_2=None) == "bad"
    assert verdict(journal_1=third, journal_2=second) == "bad"
    assert verdict(journal_1=second, journal_2=second) == "bad"
    assert verdict(journal_1=(other / "journal.mmj").read_bytes()) == "bad"
    assert verdict(journal=(other / "journal.mmj").read_bytes()) == "bad"
    assert verdict() == "good"
    (run / "journal.3.mmj").write_bytes(third)
    assert check_journal(run, anchors).verdict == "bad"
