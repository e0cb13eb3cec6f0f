"""Addresses of clients: what counts as one, and whose word is believed. Used by the rate limits of both services."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

_WHOLE_NETWORK = 64

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def counted_address(host: str) -> str:
    """What requests of `host` are counted for: an IPv6 customer has a whole /64, so that counts as one address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), _WHOLE_NETWORK), strict=False))


@dataclass(frozen=True)
class TrustedProxies:
    """The networks whose `X-Forwarded-For` is believed."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def named(cls, text: str) -> "TrustedProxies":
        """Addresses or networks, separated by commas. Raises `ValueError` naming what is neither."""
        return cls(tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip()))

    def client(self, host: str, forwarded: Sequence[str]) -> str:
        """Who asks: the peer, or the last in `X-Forwarded-For` that is no proxy of ours where the peer is one."""
        for told in reversed([part.strip() for line in forwarded for part in line.split(",")]):
            if not self._trusts(host):
                break
            host = told
        return host

    def _trusts(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)
