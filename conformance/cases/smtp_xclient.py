"""The XCLIENT line, byte by byte: address, login in xtext, name (proxy rules, section 5.2).

What NAME can be is in `client_name`.
"""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Needs, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.fakes.dns_server import rcode, records
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.smtp_words import AUTHED, BACKEND_GREETING, BACKEND_OK, OK, auth_plain, b64, serve, talk, xclient

__all__: list[str] = []

PLAIN = Block("smtp")
UNAVAILABLE = b"[UNAVAILABLE]"


async def hear_xclient(bench: Bench, client: Peer, line: bytes, *more: str) -> None:
    """Admit the client; the backend hears exactly this XCLIENT line. Raises Mismatch."""
    await bench.admit(*more)
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", BACKEND_OK), (line, BACKEND_OK))
    await client.expect(AUTHED)


def of(bench: Bench, address: bytes, name: bytes = UNAVAILABLE) -> bytes:
    """The line for the case's user at an address."""
    return b"XCLIENT ADDR=%s LOGIN=%s NAME=%s\r\n" % (address, bench.user, name)


@case(
    "smtp/xclient/name-unavailable-without-resolver",
    "NAME is [UNAVAILABLE] where no resolver is configured",
    rules="PROXY-39 CORE-42 PROXY-33 PROXY-34",
    directives="xclient resolver",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, xclient(bench))


# LOGIN.

RAW_LOGIN = {"nginx": "1.22 sends LOGIN as it is; xtext came in the 1.29 series"}
XTEXT = {
    # slug: what, login, xtext
    "printable": ("printable octets stand for themselves",
                  bytes(octet for octet in range(0x21, 0x7F) if octet not in b"+="), None),
    "plus-and-equals": ("plus and equals sign", b"a+b=c++==", b"a+2Bb+3Dc+2B+2B+3D+3D"),
    "space": ("spaces", b" a b ", b"+20a+20b+20"),
    "line-ends": ("CR and LF", b"a\r\nXCLIENT NAME=evil", b"a+0D+0AXCLIENT+20NAME+3Devil"),
    "controls": ("control octets", bytes(range(1, 0x20)), b"".join(b"+%02X" % octet for octet in range(1, 0x20))),
    "delete": ("0x7F", b"a\x7fb", b"a+7Fb"),
    "eight-bit": ("octets with their eighth bit", bytes(range(0x80, 0x100)),
                  b"".join(b"+%02X" % octet for octet in range(0x80, 0x100))),
    "utf-8": ("letters of UTF-8", "jürgen@例.example".encode(), b"j+C3+BCrgen@+E4+BE+8B.example"),
    "already-escaped": ("what looks escaped already", b"a+2Bb", b"a+2B2Bb"),
    "brackets": ("what looks like a value of XCLIENT's own", b"[UNAVAILABLE]", b"[UNAVAILABLE]"),
}  # fmt: skip


def _xtext(login: bytes, text: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(b"AUTH PLAIN %s\r\n" % b64(b"\0" + login + b"\0" + bench.password))
        await hear_xclient(bench, client, xclient(bench, text))

    return script


for slug, (what, login, text) in XTEXT.items():
    case(
        f"smtp/xclient/login-in-xtext-{slug}",
        f"LOGIN in xtext: {what}",
        rules="PROXY-38 PROXY-33",
        directives="xclient",
        needs=[Needs.ANGIE_LOGIN],
        block=PLAIN,
        deviates=None if text is None or text == login else RAW_LOGIN,
    )(_xtext(login, text or login))


@case(
    "smtp/xclient/login-left-out-when-empty",
    "an empty login leaves LOGIN out",
    rules="PROXY-37 PROXY-33",
    directives="xclient",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH PLAIN %s\r\n" % b64(b"\0\0" + bench.password))
    await hear_xclient(bench, client, xclient(bench, b""))


@case(
    "smtp/xclient/login-of-the-auth-server",
    "Auth-User of the auth server is the LOGIN",
    rules="PROXY-7 PROXY-33",
    directives="xclient",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, xclient(bench, b"real-name"), "Auth-User: real-name")


@case(
    "smtp/xclient/login-emptied-by-the-auth-server",
    "an empty Auth-User leaves LOGIN out",
    rules="PROXY-7 PROXY-37",
    directives="xclient",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, xclient(bench, b""), "Auth-User: ")


@case(
    "smtp/xclient/login-in-none-mode-only-from-the-auth-server",
    "in none mode LOGIN is what the auth server gave",
    rules="PROXY-37",
    directives="xclient smtp_auth",
    block=Block("smtp", "smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, (b"MAIL FROM:<a@b>\r\n", OK))
    await client.send(b"RCPT TO:<%s>\r\n" % bench.user)
    await bench.admit("Auth-User: given")
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(
        backend,
        (b"EHLO mx.example\r\n", BACKEND_OK),
        (xclient(bench, b"given"), BACKEND_OK),
        (b"MAIL FROM:<a@b>\r\n", BACKEND_OK),
        (b"RCPT TO:<%s>\r\n" % bench.user, BACKEND_OK),
    )
    await client.expect(BACKEND_OK)


# ADDR.


@case(
    "smtp/xclient/addr-of-an-ipv6-client",
    "an IPv6 address has the prefix IPV6:",
    rules="PROXY-35 PROXY-36",
    directives="xclient listen",
    block=Block("smtp", address="ipv6"),
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, of(bench, b"IPV6:::1"))


@case(
    "smtp/xclient/addr-of-an-ipv4-client-on-a-dual-stack-listener",
    "an IPv4 client of a listener for both families is an IPv4-mapped IPv6 address",
    rules="PROXY-35",
    directives="xclient listen",
    block=Block("smtp", address="dual"),
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, of(bench, b"IPV6:::ffff:" + bench.ip.encode()))


@case(
    "smtp/xclient/addr-of-a-unix-client",
    "a client of a UNIX socket has the address [UNAVAILABLE]",
    rules="PROXY-35",
    directives="xclient listen",
    block=Block("smtp", address="unix"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, of(bench, UNAVAILABLE))


@case(
    "smtp/xclient/name-of-a-unix-client-without-resolver",
    "a client of a UNIX socket is [UNAVAILABLE] where there is no resolver",
    rules="CORE-43 CORE-42",
    directives="resolver listen",
    block=Block("smtp", address="unix"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    request = await bench.request()
    bench.check("Client-Host", request["Client-Host"], UNAVAILABLE)


@case(
    "smtp/xclient/name-of-a-unix-client-with-resolver",
    "a client of a UNIX socket is [TEMPUNAVAIL] where there is a resolver",
    rules="CORE-43 PROXY-39",
    directives="resolver listen",
    block=Block("smtp", "resolver {dns};", address="unix"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    request = await bench.request()
    bench.check("Client-Host", request["Client-Host"], b"[TEMPUNAVAIL]")


TRUSTED = Block("smtp", "set_real_ip_from 127.0.0.0/8;", listen="proxy_protocol")
FORMS = {
    # slug: what the PROXY header has, what XCLIENT has; {n} and {d} are the case's own
    "zeros-in-the-middle": ("2001:0db8:0000:0000:0000:0000:0000:{n}", "2001:db8::{n}"),
    "longest-run-of-zeros": ("2001:db8:0:0:{n}:0:0:0", "2001:db8:0:0:{n}::"),
    "first-of-equal-runs": ("2001:db8:0:0:1:0:0:{n}", "2001:db8::1:0:0:{n}"),
    "single-zero-stays": ("2001:db8:0:3:4:5:6:{n}", "2001:db8:0:3:4:5:6:{n}"),
    "upper-case": ("2001:DB8::ABCD:EF:{n}", "2001:db8::abcd:ef:{n}"),
    "mapped": ("::FFFF:192.0.{d}", "::ffff:192.0.{d}"),
}


def _forms(given: str, shown: str) -> Script:
    async def script(bench: Bench) -> None:
        _, first, second, third = (int(part) for part in bench.ip.split("."))
        number = f"{1 + first % 8}{second:02x}{third:x}"[-4:].lstrip("0")
        header, address = (text.format(n=number, d=f"{second}.{third}") for text in (given, shown))
        bench.knows(address)
        client = await bench.client()
        await client.send(f"PROXY TCP6 {header} 2001:db8::1 1000 25\r\n".encode())
        await client.expect(SMTP.greeting)
        await client.send(auth_plain(bench))
        await hear_xclient(bench, client, of(bench, b"IPV6:" + address.encode()))

    return script


for slug, (given, shown) in FORMS.items():
    case(
        f"smtp/xclient/addr-from-proxy-header-{slug}",
        f"ADDR of an IPv6 client named by a trusted PROXY header: {slug.replace('-', ' ')}",
        rules="PROXY-19 PROXY-35 CORE-67 PROXY-36",
        directives="xclient set_real_ip_from listen",
        block=TRUSTED,
        level=Level.VENDOR,
    )(_forms(given, shown))


@case(
    "smtp/xclient/addr-from-proxy-header-ipv4",
    "ADDR of an IPv4 client is that of a trusted PROXY header",
    rules="CORE-68 PROXY-35",
    directives="xclient set_real_ip_from listen",
    block=TRUSTED,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    ip = bench.ip.replace("127.", "10.", 1)
    bench.knows(ip)
    client = await bench.client()
    await client.send(f"PROXY TCP4 {ip} 192.0.2.2 1000 25\r\n".encode())
    await client.expect(SMTP.greeting)
    await client.send(auth_plain(bench))
    await hear_xclient(bench, client, of(bench, ip.encode()))


# NAME for addresses of other families.

RESOLVING = Block("smtp", "set_real_ip_from 127.0.0.0/8; resolver {dns};", listen="proxy_protocol")


def _ipv6_name(aaaa: str | None, *, fits: bool) -> Script:
    async def script(bench: Bench) -> None:
        _, first, second, third = (int(part) for part in bench.ip.split("."))
        ip = f"2001:db8:{first:x}:{second:x}::{third + 1:x}"
        bench.knows(ip)
        bench.say_ptr(records("PTR {host}."), ip)
        addresses = records(aaaa.format(ip6=ip)) if aaaa else rcode("NOERROR")
        bench.say_forward(records("A {ip}"), addresses)
        client = await bench.client()
        await client.send(f"PROXY TCP6 {ip} 2001:db8::1 1000 25\r\n".encode())
        await client.expect(SMTP.greeting)
        await client.send(auth_plain(bench))
        name = bench.host.encode() if fits else UNAVAILABLE
        await hear_xclient(bench, client, of(bench, b"IPV6:" + ip.encode(), name))
        nibbles = "".join(reversed(f"20010db8{first:04x}{second:04x}{0:012x}{third + 1:04x}"))
        bench.check("the first question", bench.dns.asked[0], ".".join(nibbles) + ".ip6.arpa PTR")

    return script


for slug, what, aaaa, fits in (
    ("confirmed-by-aaaa", "an AAAA record is the client's address", "AAAA {ip6}", True),
    ("unavailable-on-other-aaaa", "the AAAA record is another's", "AAAA 2001:db8::1", False),
    ("unavailable-without-aaaa", "there are only A records", None, False),
):
    case(
        f"smtp/xclient/name-of-ipv6-client-{slug}",
        f"the name of an IPv6 client, asked for under ip6.arpa, when {what}",
        rules="CORE-44 CORE-47 CORE-41",
        directives="resolver set_real_ip_from",
        block=RESOLVING,
        needs=[Needs.PROXY_IN],
    )(_ipv6_name(aaaa, fits=fits))

MAPPED = Block("smtp", "resolver {dns};", address="dual")


def _mapped_name(a: str, *, fits: bool) -> Script:
    async def script(bench: Bench) -> None:
        bench.say_ptr(records("PTR {host}."), "::ffff:" + bench.ip)
        bench.say_forward(records(a), rcode("NOERROR"))
        client = await greeted(bench)
        await client.send(auth_plain(bench))
        name = bench.host.encode() if fits else UNAVAILABLE
        await hear_xclient(bench, client, of(bench, b"IPV6:::ffff:" + bench.ip.encode(), name))
        bench.check("the first question under ip6.arpa", bench.dns.asked[0].endswith(".ip6.arpa PTR"), True)

    return script


case(
    "smtp/xclient/name-of-mapped-client-confirmed-by-a",
    "an IPv4-mapped client is asked for under ip6.arpa, and confirmed by an A record",
    rules="CORE-47 CORE-44 CORE-48",
    directives="resolver",
    block=MAPPED,
)(_mapped_name("A {ip}", fits=True))
case(
    "smtp/xclient/name-of-mapped-client-unavailable-on-other-a",
    "an IPv4-mapped client is asked for under ip6.arpa, and not confirmed by another address",
    rules="CORE-44 CORE-47",
    directives="resolver",
    block=MAPPED,
)(_mapped_name("A 192.0.2.1", fits=False))
