"""What a client wrote is a value or a ValueError."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmbot.exchange.client_text import DEPTH_MAX, read_json, read_whole


@given(st.text(max_size=40))
@example("9" * 5000)
@example("²")
@example("٣")
def test_text_is_a_whole_number_or_refused(text: str):
    """ASCII digits only, and no more of them than Python converts back."""
    if text.isascii() and text.isdigit() and len(text) <= 30:
        assert read_whole(text) == int(text)
        return
    with pytest.raises(ValueError, match="whole number"):
        read_whole(text)


@given(st.binary(max_size=60))
@example(b"[" * 200_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5000)
@example(b"1e400")
@example(b'"\xff"')
@example(b'"\\ud800"')
def test_bytes_are_json_that_can_be_written_again_or_refused(raw: bytes):
    """Nothing else is raised, whatever they are."""
    try:
        found = read_json(raw)
    except ValueError:
        return
    assert read_json(msgspec.json.encode(found)) == found
    assert isinstance(repr(found), str)


@pytest.mark.parametrize(("levels", "fits"), [(DEPTH_MAX, True), (DEPTH_MAX + 1, False), (900, False)])
def test_nesting_has_an_end(levels: int, fits: bool):
    """Depth that the parser bears and a later step does not is refused as well."""
    raw = b"[" * levels + b"]" * levels
    if fits:
        assert msgspec.json.encode(read_json(raw)) == raw
    else:
        with pytest.raises(ValueError, match="too deeply"):
            read_json(raw)
