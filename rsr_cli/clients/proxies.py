"""The proxy of the environment for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.request import getproxies_environment

from yarl import URL

from rsr_cli.errors import ConfigError

_WITH_PORT = re.compile(r"([^:]+|\[.*\]):(\d+)")


@dataclass(frozen=True, slots=True)
class Proxy:
    url: URL
    """With its user and password."""

    def __str__(self) -> str:
        """The form that may be shown."""
        return str(self.url.origin())


def proxy_for(url: URL) -> Proxy | None:
    """None for a server that is asked directly, as those on this machine always are. Raises ConfigError."""
    proxies = getproxies_environment()
    text = proxies.get(url.scheme) or proxies.get("all")
    host = url.host or ""
    if not text or _is_loopback(host) or _is_excepted(host, url.port, proxies.get("no", "")):
        return None
    names = f"{url.scheme}_proxy".upper()
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
        known = proxy.scheme in ("http", "https") and bool(proxy.host)
    except ValueError:
        known = False
    if not known:
        shown = "" if "@" in text else f" {text!r}"
        raise ConfigError(
            f"the proxy{shown} of the environment ({names} or ALL_PROXY) is not an http or https URL",
            f"name one that is, or put {host} into NO_PROXY",
        )
    return Proxy(proxy)


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address else host == "localhost" or host.endswith(".localhost")


def _is_excepted(host: str, port: int | None, no_proxy: str) -> bool:
    """NO_PROXY names it: as a domain or one above it, with or without a port, as an address, or within a network."""
    address = _address(host)
    for item in no_proxy.replace(",", " ").lower().split():
        with_port = _WITH_PORT.fullmatch(item)
        name, given = with_port.groups() if with_port else (item, None)
        if given and given != str(port):
            continue
        if name == "*":
            return True
        if address is not None:
            try:
                network = ipaddress.ip_network(name.strip("[]"), strict=False)
            except ValueError:
                continue
            if address in network:
                return True
            continue
        domain = name.removeprefix("*").removeprefix(".")
        if host == domain or host.endswith(f".{domain}"):
            return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
