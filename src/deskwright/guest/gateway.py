"""Where the gateway's sessions come from, as a firewall needs it: an address or a network, never a name."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def gateway_network(except_from: str) -> Network | None:
    """The network in `except_from`, or None where it is empty (then no one is excepted).

    ValueError: a host name (a firewall would resolve it once, and keep what it was then), an address with a zone, bits
    beyond the network's length, or a network that is everything.
    """
    if not except_from.strip():
        return None
    try:
        network = ipaddress.ip_network(except_from.strip())
    except ValueError as refused:
        raise ValueError(f"gateway {except_from!r}: an IP address or network is needed ({refused})") from None
    # A zone holds any characters, and has no meaning in another machine.
    if "%" in str(network):
        raise ValueError(f"gateway {except_from!r}: an address with a zone has no meaning in a guest")
    if network.prefixlen == 0:
        raise ValueError(f"gateway {except_from!r} is every address: nothing would be blocked")
    return network


def everyone_else(network: Network | None) -> list[str]:
    """All addresses of both versions but those of `network`, as ranges "first-last"; ["Any"] without one."""
    if network is None:
        return ["Any"]
    ranges = []
    for whole in (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")):
        if whole.version != network.version:
            ranges.append(f"{whole[0]}-{whole[-1]}")
            continue
        if network[0] != whole[0]:
            ranges.append(f"{whole[0]}-{network[0] - 1}")
        if network[-1] != whole[-1]:
            ranges.append(f"{network[-1] + 1}-{whole[-1]}")
    return ranges
