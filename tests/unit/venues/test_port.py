"""The port's promises that are not its types."""

from pydantic import SecretStr

from mmbot.venues.port import Credentials


def test_credentials_do_not_show_themselves() -> None:
    """Neither the text nor the representation of a key gives the secret or the whole key away."""
    credentials = Credentials(key="abcdefgh", secret=SecretStr("sentinel-secret"))
    for text in (repr(credentials), str(credentials), f"{credentials}"):
        assert "sentinel" not in text
        assert "abcdefgh" not in text
