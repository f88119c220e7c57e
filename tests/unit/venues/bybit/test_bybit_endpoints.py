"""Only encrypted, verified links leave this machine: asked of addresses, changed addresses and real TLS servers."""

import asyncio
import ssl
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from pydantic import SecretStr
from scripted_bybit import Heardall, ScriptedBybit

from mmbot.execution import Backoff
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.endpoints import Endpoint, InsecureLink
from mmbot.venues.bybit.http import BybitHttp, HttpTiming, NoAnswer
from mmbot.venues.bybit.link import LinkTiming
from mmbot.venues.bybit.public import BybitPublic
from mmbot.venues.port import Credentials, Subscription, VenueError

KEY = Credentials(key="testkey", secret=SecretStr("testsecret"))


@pytest.mark.parametrize(
    ("word", "http", "private", "trades"),
    [
        ("mainnet", "https://api.bybit.com", "wss://stream.bybit.com/v5/private", True),
        ("testnet", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com/v5/private", True),
        ("demo", "https://api-demo.bybit.com", "wss://stream-demo.bybit.com/v5/private", False),
    ],
)
def test_one_word_names_every_address(word: str, http: str, private: str, trades: bool) -> None:
    """Each Bybit has its own hosts; demo has no trade socket and the exchange's own market data."""
    endpoint = Endpoint.of(word)
    assert (endpoint.http, endpoint.private, endpoint.trade is not None) == (http, private, trades)
    host = "stream-testnet" if word == "testnet" else "stream"
    assert endpoint.public("spot") == f"wss://{host}.bybit.com/v5/public/spot"
    context = endpoint.context(endpoint.http)
    assert context is not None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_simulator_is_one_port_for_everything() -> None:
    """A simulator's one address gives all others, plain on loopback."""
    endpoint = Endpoint.of("simulator", "http://127.0.0.1:8765/")
    assert endpoint.http == "http://127.0.0.1:8765"
    assert endpoint.trade == "ws://127.0.0.1:8765/v5/trade"
    assert endpoint.context(endpoint.trade) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7:8765",
        "http://exchange.example:8765",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://user:pw@127.0.0.1:1",
        "ftp://127.0.0.1",
        "http://",
        "127.0.0.1:8765",
    ],
)
def test_a_plain_address_beyond_this_machine_is_refused_at_construction(url: str) -> None:
    """Whatever is not encrypted and not surely this machine makes no endpoint, and a password is not repeated."""
    with pytest.raises(InsecureLink) as error:
        Endpoint.of("simulator", url)
    assert "pw" not in str(error.value)


@pytest.mark.parametrize(
    ("word", "url", "words"),
    [
        ("simulator", None, "give it"),
        ("mainnet", "http://127.0.0.1:1", "leave out"),
        ("bybit", None, "expected one of"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_write(word: str, url: str | None, words: str) -> None:
    """A simulator needs an address, the others have theirs, and anything else is no Bybit."""
    with pytest.raises(ValueError, match=words):
        Endpoint.of(word, url)
    with pytest.raises(ValueError, match="unknown category"):
        Endpoint.of("mainnet").public("option")


@pytest.mark.parametrize("field", ["http", "private", "trade", "public_base"])
def test_an_address_that_was_changed_is_refused_at_every_use(field: str) -> None:
    """An endpoint remembers what it was made of, so that not even an encrypted other host slips in."""
    endpoint = Endpoint.of("mainnet")
    object.__setattr__(endpoint, field, "https://api.bybit.example")
    with pytest.raises(InsecureLink, match="was changed"):
        endpoint.context(endpoint.http)

    async def scenario() -> None:
        http = BybitHttp(endpoint, KEY, time.time_ns, RateBudget())
        with pytest.raises(InsecureLink, match="was changed"):
            await http.start()
        await http.stop()

    asyncio.run(scenario())


# -------------------------------------------------------------------------------------------------- real TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=simulator"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", key, "-out", made], check=True, capture_output=True, timeout=20)
    return made, key


def serving(certificate: tuple[Path, Path], newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A server's side of TLS that speaks nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    return context


async def reached(certificate: tuple[Path, Path], newest: ssl.TLSVersion, *, trusted: bool) -> tuple[str, str]:
    """What comes of HTTP and of a WebSocket to a server that is asked for TLS as a stranger would be."""
    venue = ScriptedBybit(KEY)
    await venue.open(serving(certificate, newest))
    endpoint = Endpoint.of(
        "simulator",
        f"https://127.0.0.1:{venue.port}",
        authority=certificate[0] if trusted else None,
        trust_loopback=False,
    )
    http = BybitHttp(endpoint, KEY, time.time_ns, RateBudget(), timing=HttpTiming(reads=Backoff(delays_s=(0.01,))))
    heard = Heardall()
    public = BybitPublic(
        endpoint,
        [Subscription(category="linear", symbol="BTCUSDT")],
        heard,
        time.time_ns,
        link_timing=LinkTiming(backoff_first_s=60),
        random=Random(1),
    )
    try:
        await http.start()
        over_http = "up"
    except (VenueError, NoAnswer) as error:
        over_http = str(error)
    try:
        await public.start()
        [event] = await heard.until(lambda: heard.links)
        return over_http, event.state if event.state == "up" else event.why
    finally:
        await public.stop()
        await http.stop()
        await venue.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_with_modern_tls_is_reached(certificate: tuple[Path, Path], newest: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 with a certificate that an authority of ours vouches for carry both kinds of link."""
    assert asyncio.run(reached(certificate, newest, trusted=True)) == ("up", "up")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_server_with_tls_1_1_is_refused(certificate: tuple[Path, Path]) -> None:
    """What speaks nothing newer than TLS 1.1 is not spoken to, over either path, though an old client would."""
    for said in asyncio.run(reached(certificate, ssl.TLSVersion.TLSv1_1, trusted=True)):
        assert said != "up"

    async def old_client() -> str | None:
        venue = ScriptedBybit(KEY)
        await venue.open(serving(certificate, ssl.TLSVersion.TLSv1_1))
        context = ssl.create_default_context(cafile=certificate[0])
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        _, writer = await asyncio.open_connection("127.0.0.1", venue.port, ssl=context)
        spoken = writer.get_extra_info("ssl_object").version()
        writer.close()
        await venue.close()
        return spoken

    assert asyncio.run(old_client()) == "TLSv1.1"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: tuple[Path, Path]) -> None:
    """A stranger's certificate ends the connection before a byte of ours leaves."""
    for said in asyncio.run(reached(certificate, ssl.TLSVersion.TLSv1_3, trusted=False)):
        assert "certificate" in said.lower()


def test_a_link_that_negotiated_too_little_is_refused_after_the_handshake() -> None:
    """The connection that stands is looked at too: a plain one that left this machine, and TLS below 1.2."""
    simulator = Endpoint.of("simulator", "http://127.0.0.1:1")
    simulator.check_link(simulator.http, None, ("127.0.0.1", 1))
    with pytest.raises(InsecureLink, match="not this machine"):
        simulator.check_link(simulator.http, None, ("10.0.0.7", 1))
    with pytest.raises(InsecureLink, match="no TLS"):
        Endpoint.of("mainnet").check_link("wss://stream.bybit.com/v5/private", None, ("10.0.0.7", 443))
