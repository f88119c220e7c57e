"""Signatures over raw bytes, the clock rule, and what each kind of stranger is told."""

import pytest

from mmbot.exchange.auth import ApiKey, Keyring, Signed, check_window, require_trading, sign
from mmbot.exchange.refusals import RefusedError

NOW = 1_700_000_000_000
KEY = ApiKey(key="testkey", secret="testsecret", uid=7)
POST = (
    b'{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"59000",'
    b'"timeInForce":"PostOnly"}'
)


def code(call, *args) -> int:
    """The code that a call is refused with."""
    with pytest.raises(RefusedError) as refused:
        call(*args)
    return refused.value.code


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        (b"category=linear&symbol=BTCUSDT", "f2f79889fd1201752936b389c890e9d393e01e0311a6d8785fb80753aa26c69b"),
        (b"", "2fc9e776b3f07b2ee447067e0f627438055b198bb14dba79e1a3d50e40a5bd8d"),
        (POST, "ee905b33f72620b018fe76cb01a358584cc7d3e9ca26607146362fe20b3ecef5"),
    ],
)
def test_published_rest_vectors_are_let_in(payload: bytes, signature: str):
    """The vectors of the protocol reference verify, byte for byte; one byte more does not."""
    signed = Signed("testkey", str(NOW), "5000", signature, payload)
    assert Keyring([KEY]).admit_rest(signed, NOW, "127.0.0.1") is KEY
    other = Signed("testkey", str(NOW), "5000", signature, payload + b" ")
    assert code(Keyring([KEY]).admit_rest, other, NOW, "127.0.0.1") == 10004


def test_a_bad_signature_is_told_what_was_hashed_and_never_the_secret():
    """The origin string comes back; the secret and the expected signature do not."""
    signed = Signed("testkey", str(NOW), "", "0" * 64, b"a=1")
    with pytest.raises(RefusedError) as refused:
        Keyring([KEY]).admit_rest(signed, NOW, "127.0.0.1")
    assert refused.value.message == f"error sign! origin_string[{NOW}testkeya=1]"
    assert "testsecret" not in repr(KEY)


def test_the_published_socket_vector_is_let_in_as_number_and_as_text():
    """SDKs send `expires` either way, one of them only a second ahead."""
    signature = "6a806639d27b1c24c3808a191e9d0274d0c9d3a04a160233856d65840dfda2c8"
    for expires in (1_700_000_010_000, "1700000010000"):
        assert Keyring([KEY]).admit_socket(["testkey", expires, signature], NOW + 9_000, "::1") is KEY
    assert code(Keyring([KEY]).admit_socket, ["testkey", 1_700_000_010_000, signature], NOW + 10_000, "::1") == 10002
    assert code(Keyring([KEY]).admit_socket, ["testkey", 1_700_000_010_000, "00"], NOW, "::1") == 10004
    assert code(Keyring([KEY]).admit_socket, ["nobody", 1_700_000_010_000, signature], NOW, "::1") == 10003
    assert code(Keyring([KEY]).admit_socket, "auth", NOW, "::1") == 10001


def test_what_is_no_signature_and_no_number_is_refused_as_any_other():
    """Other alphabets, bytes that are no text, and more digits than Python reads."""
    keyring = Keyring([KEY])
    for signature in ("é" * 64, "\udcff" * 64):
        assert code(keyring.admit_rest, Signed("testkey", str(NOW), "", signature, b""), NOW, "::1") == 10004
        assert code(keyring.admit_socket, ["testkey", NOW + 1000, signature], NOW, "::1") == 10004
    for number in ("9" * 5000, "²", "-1", "1.0", ""):
        assert code(keyring.admit_socket, ["testkey", number, "00"], NOW, "::1") == 10001
    assert code(keyring.admit_rest, Signed("testkey", "9" * 5000, "", "00", b""), NOW, "::1") == 10001
    assert code(keyring.admit_rest, Signed("testkey", str(NOW), "9" * 5000, "00", b""), NOW, "::1") == 10001


@pytest.mark.parametrize(
    ("timestamp", "fits"),
    [(NOW - 5001, False), (NOW - 5000, True), (NOW, True), (NOW + 999, True), (NOW + 1000, False)],
)
def test_a_timestamp_counts_between_the_window_and_a_second_ahead(timestamp: int, fits: bool):
    """server − recv_window ≤ timestamp < server + 1000, at each edge."""
    if fits:
        check_window(timestamp, 5000, NOW)
    else:
        with pytest.raises(RefusedError, match=rf"req_timestamp\[{timestamp}\],server_timestamp\[{NOW}\]"):
            check_window(timestamp, 5000, NOW)


def test_each_stranger_has_a_code():
    """No headers, unknown key, expired key, wrong address, read-only key, missing scope."""
    keys = Keyring(
        [
            KEY,
            ApiKey(key="old", secret="s", uid=7, expires_ms=NOW),
            ApiKey(key="home", secret="s", uid=7, ips=("10.0.0.0/8", "::1")),
        ]
    )

    def asked(key: str, secret: str) -> Signed:
        return Signed(key, str(NOW), "5000", sign(secret, f"{NOW}{key}5000".encode()), b"")

    assert code(keys.admit_rest, Signed("", "", "", "", b""), NOW, "127.0.0.1") == 10001
    assert code(keys.admit_rest, asked("nobody", "s"), NOW, "127.0.0.1") == 10003
    assert code(keys.admit_rest, asked("old", "s"), NOW, "127.0.0.1") == 33004
    assert code(keys.admit_rest, asked("home", "s"), NOW, "127.0.0.1") == 10010
    assert keys.admit_rest(asked("home", "s"), NOW, "10.1.2.3").key == "home"
    assert code(require_trading, ApiKey(key="r", secret="s", uid=7, read_only=True), "linear") == 10005
    spot_only = ApiKey(key="r", secret="s", uid=7, scopes={"Spot": ("SpotTrade",)})
    require_trading(spot_only, "spot")
    assert code(require_trading, spot_only, "linear") == 10005


def test_a_key_is_unique_and_can_be_revoked():
    """Adding a known key is a mistake; a revoked one is unknown."""
    keys = Keyring([KEY])
    with pytest.raises(ValueError, match="exists already"):
        keys.add(KEY)
    assert keys.remove("testkey")
    assert not keys.remove("testkey")
    assert list(keys) == []
