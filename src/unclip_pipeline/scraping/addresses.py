"""Tell the addresses of the open internet from those of one's own machine, network and provider."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address

_RESERVED = tuple(  # what `ipaddress` of some Python versions takes for global
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments; one provider's metadata
            "192.88.99.0/24",  # 6to4 relays
            "168.63.129.16/32",  # one provider's metadata
            "2001::/23",  # protocol assignments, Teredo among them
            "3fff::/20",  # documentation
        ),
    )
)
_UNICAST = ip_network("2000::/3")  # all that was ever given out of IPv6
_NAT64 = ip_network("64:ff9b::/96")


def is_public(address: IPAddress) -> bool:
    """Tell whether an address can be anybody's on the open internet; one wrapped in another counts too."""
    if isinstance(address, IPv6Address):
        inner = _wrapped(address)
        if inner is not None:
            return is_public(inner)
        if address not in _UNICAST:
            return False
    if any(address.version == network.version and address in network for network in _RESERVED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def as_address(text: str) -> IPAddress | None:
    """Read an address as sockets are given it; None if it is a name."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway would take out of this one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
