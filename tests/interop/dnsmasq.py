"""A real dnsmasq as the name server, with the names of a small domain."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path

from refproxy.config.settings import TcpAddress
from tests.interop.processes import Child, find_program
from tests.ports import free_port

__all__ = ["MANY", "RECORDS", "Dnsmasq", "start_dnsmasq"]

MANY = [f"198.51.100.{number}" for number in range(1, 101)]
"""The addresses of many.example.test: too many for a datagram."""

RECORDS = (
    # Names with addresses that have these names, and a client's name that is not true.
    "host-record=mail.example.test,192.0.2.7,2001:db8::7",
    "host-record=other.example.test,192.0.2.9",
    "ptr-record=8.2.0.192.in-addr.arpa,other.example.test",
    # Where the tests' clients connect from, and the name that the neighbour has untruly.
    "host-record=client.example.test,127.0.0.2",
    "ptr-record=3.0.0.127.in-addr.arpa,client.example.test",
    # A name that is an alias.
    "cname=alias.example.test,target.example.test",
    "host-record=target.example.test,192.0.2.10",
    "ptr-record=10.2.0.192.in-addr.arpa,alias.example.test",
    # Several names.
    "host-record=one.example.test,two.example.test,192.0.2.11",
    "ptr-record=11.2.0.192.in-addr.arpa,one.example.test",
    "ptr-record=11.2.0.192.in-addr.arpa,two.example.test",
    # A name that does not exist, and one that nobody may use.
    "ptr-record=12.2.0.192.in-addr.arpa,nowhere.example.test",
    "ptr-record=13.2.0.192.in-addr.arpa,under_score.example.test",
    # One of many addresses.
    "ptr-record=14.2.0.192.in-addr.arpa,many.example.test",
)


@dataclass(frozen=True, slots=True)
class Dnsmasq:
    """A running dnsmasq, which logs every query."""

    child: Child
    address: TcpAddress


def start_dnsmasq(directory: Path) -> Dnsmasq:
    """Start dnsmasq in an empty directory. Skips the test where it is not installed."""
    program = find_program("dnsmasq", "dnsmasq-base")
    port = free_port()
    hosts = directory / "hosts"
    hosts.write_text("".join(f"{address} many.example.test\n" for address in (*MANY, "192.0.2.14")))
    configuration = directory / "dnsmasq.conf"
    lines = (
        f"port={port}",
        "listen-address=127.0.0.1",
        "bind-interfaces",
        "keep-in-foreground",
        f"user={getpass.getuser()}",
        f"pid-file={directory}/pid",
        "log-queries",
        "log-facility=-",
        # It knows its own domain only: unknown names there do not exist, and for all others it is the wrong server.
        "no-resolv",
        "no-hosts",
        f"addn-hosts={hosts}",
        "local=/example.test/",
        "local=/2.0.192.in-addr.arpa/",
        "local=/8.b.d.0.1.0.0.2.ip6.arpa/",
        *RECORDS,
    )
    configuration.write_text("\n".join(lines) + "\n")
    child = Child([program, f"--conf-file={configuration}"])
    try:
        child.wait_until_listening(port)
    except BaseException:
        child.stop()
        raise
    return Dnsmasq(child, TcpAddress("127.0.0.1", port))
