"""Whose bucket a request takes from: an address as customers have it, and as trusted proxies tell it."""

import pytest
from mill_kit.http.addresses import TrustedProxies, counted_address


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("x" * 100, "x" * 64),
    ],
)
def test_one_customer_is_one_address(host: str, counted: str) -> None:
    assert counted_address(host) == counted


def test_only_a_trusted_proxy_says_for_whom_it_asks() -> None:
    ours = TrustedProxies.named("10.0.0.0/8, 192.0.2.1")
    assert ours.client("192.0.2.1", ["198.51.100.4"]) == "198.51.100.4"
    assert ours.client("10.1.1.1", ["198.51.100.4, 192.0.2.1"]) == "198.51.100.4"
    assert ours.client("198.51.100.9", ["192.0.2.7"]) == "198.51.100.9", "a stranger may claim what it likes"
    assert ours.client("10.1.1.1", ["1.2.3.4, 198.51.100.4"]) == "198.51.100.4", (
        "what a client added itself counts for nothing"
    )
    assert ours.client("10.1.1.1", []) == "10.1.1.1"
    assert TrustedProxies().client("10.1.1.1", ["198.51.100.4"]) == "10.1.1.1"
    with pytest.raises(ValueError, match="nonsense"):
        TrustedProxies.named("nonsense")
