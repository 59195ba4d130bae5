"""The client's host name: what is remembered, and where the lookup stands in a session (core rules, section 8)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.client_name import (
    IMPATIENT,
    NO_DATA,
    RESOLVING,
    UNAVAILABLE,
    check_name,
    confirm,
    neighbour_greeted,
    questions,
)
from conformance.dialogues import SMTP, greeted
from conformance.fakes.dns_server import Answer, rcode, records, reverse_name
from conformance.rulebook import Level
from conformance.smtp_words import talk

__all__: list[str] = []

# The cache.


@case(
    "smtp/dns/name-and-addresses-are-remembered",
    "the next session from the same address asks nothing",
    rules="CORE-52",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    await check_name(bench, await greeted(bench), name)
    bench.say_ptr(rcode("NXDOMAIN"))
    await check_name(bench, await greeted(bench), name)
    bench.check("the questions", sorted(bench.dns.asked), questions(bench, "A", "AAAA"))


def _not_remembered(failure: Answer) -> Script:
    async def script(bench: Bench) -> None:
        bench.say_ptr(failure)
        await greeted(bench)
        name = confirm(bench)
        await check_name(bench, await greeted(bench), name)

    return script


for slug, failure in {
    "nxdomain": rcode("NXDOMAIN"),
    "no-data": NO_DATA,
    "servfail": rcode("SERVFAIL"),
    "refused": rcode("REFUSED"),
}.items():
    case(
        f"smtp/dns/failure-is-not-remembered-{slug}",
        f"after {slug} for PTR the next session asks again, and gets its name",
        rules="CORE-52",
        directives="resolver",
        block=RESOLVING,
        level=Level.VENDOR,
    )(_not_remembered(failure))


@case(
    "smtp/dns/mismatch-is-remembered",
    "names and addresses that do not fit are remembered, too",
    rules="CORE-52",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    confirm(bench, a=records("A 192.0.2.1"))
    await check_name(bench, await greeted(bench), UNAVAILABLE)
    confirm(bench)
    await check_name(bench, await greeted(bench), UNAVAILABLE)
    bench.check("the questions", sorted(bench.dns.asked), questions(bench, "A", "AAAA"))


@case(
    "smtp/dns/ptr-and-addresses-expire-independently",
    "when only the PTR record's TTL is over only PTR is asked again",
    rules="CORE-52",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench, ptr=records("PTR {host}.", ttl=1))
    await check_name(bench, await greeted(bench), name)
    await bench.silence(2.5)  # an entry lives through the second in which it expires
    await check_name(bench, await greeted(bench), name)
    bench.check("the questions again", bench.dns.asked[3:], [reverse_name(bench.ip) + " PTR"])


@case(
    "smtp/dns/valid-replaces-the-ttl",
    "with valid=1s an answer with a longer TTL is asked for again",
    rules="CORE-52 CORE-36",
    directives="resolver",
    block=Block("smtp", "resolver {dns} valid=1s;"),
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    await check_name(bench, await greeted(bench), name)
    await bench.silence(2.5)
    await check_name(bench, await greeted(bench), name)
    bench.check("the questions again", sorted(bench.dns.asked[3:]), questions(bench, "A", "AAAA"))


@case(
    "smtp/dns/simultaneous-lookups-share-a-query",
    "two sessions from one address at the same time ask once",
    rules="CORE-52",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    pointer = reverse_name(bench.ip)
    held = bench.dns.hold(pointer, "PTR")
    first = await bench.client()
    await bench.dns.wait_asked(f"{pointer} PTR")
    second = await bench.client()
    await neighbour_greeted(bench)
    held.set()
    for client in (first, second):
        await client.expect(SMTP.greeting)
        await check_name(bench, client, name)
    bench.check("the number of PTR questions", bench.dns.asked.count(f"{pointer} PTR"), 1)
    bench.check("the number of A questions", bench.dns.asked.count(f"{bench.host} A"), 1)


# Where the lookup stands in a session.


@case(
    "smtp/dns/client-data-waits-for-the-lookup",
    "commands that come during the lookup are answered after the greeting",
    rules="CORE-40 SMTP-8",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    held = bench.dns.hold(reverse_name(bench.ip), "PTR")
    client = await bench.client()
    await client.send(b"EHLO early.example\r\nNOOP\r\n")
    await bench.dns.wait_asked(reverse_name(bench.ip) + " PTR")
    await client.expect_nothing()
    held.set()
    await client.expect(SMTP.greeting + b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n250 2.0.0 OK\r\n")
    await check_name(bench, client, name)


@case(
    "smtp/dns/lookup-is-once-per-connection",
    "neither HELO nor a second login asks again",
    rules="CORE-39",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    bench.say_ptr(rcode("NXDOMAIN"))  # which is not remembered
    client = await greeted(bench)
    await talk(client, (b"EHLO a\r\n", b"250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n"))
    await client.send(b"AUTH PLAIN %s\r\n" % bench.plain64)
    await (await bench.request()).answer("Auth-Status: no", "Auth-Wait: 1")
    await client.expect(b"535 5.7.0 no\r\n")
    await check_name(bench, client, UNAVAILABLE)
    bench.check("the questions", bench.dns.asked, questions(bench))


@case(
    "smtp/dns/resolver-off-asks-nothing",
    "`resolver off` means [UNAVAILABLE] at once",
    rules="CORE-35 CORE-42 CONF-35",
    directives="resolver",
    block=Block("smtp", "resolver off;"),
)
async def _(bench: Bench) -> None:
    confirm(bench)
    await check_name(bench, await greeted(bench), UNAVAILABLE)
    bench.check("the questions", bench.dns.asked, [])


@case(
    "smtp/dns/each-lookup-has-its-own-time",
    "a PTR answer just in time leaves the whole resolver_timeout to the addresses",
    rules="CORE-37 SMTP-113",
    directives="resolver resolver_timeout",
    block=IMPATIENT,
    limit=20.0,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    pointer, address = bench.dns.hold(reverse_name(bench.ip), "PTR"), bench.dns.hold(bench.host, "A")
    client = await bench.client()
    await bench.silence(2.2)
    pointer.set()
    await bench.dns.wait_asked(f"{bench.host} A")
    await bench.silence(2.2)  # together more than one resolver_timeout
    address.set()
    await client.expect(SMTP.greeting)
    await check_name(bench, client, name)
