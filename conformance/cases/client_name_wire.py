"""The client's host name: questions, answers that count, and what is remembered (core rules, section 8.6)."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.client_name import NO_DATA, RESOLVING, check_name
from conformance.dialogues import SMTP, greeted
from conformance.fakes.dns_server import Answer, raw, rcode, records, reverse_name, several, truncated
from conformance.rulebook import Level
from conformance.smtp_words import talk

__all__: list[str] = []

UNAVAILABLE = b"[UNAVAILABLE]"
OURS = records("PTR {host}.")
FITS = records("A {ip}")


def confirm(bench: Bench, ptr: Answer = OURS, a: Answer = FITS) -> bytes:
    """Let the case's host name be confirmed; return it."""
    bench.say_ptr(ptr)
    bench.say_forward(a, NO_DATA)
    return bench.host.encode()


def questions(bench: Bench, *kinds: str) -> list[str]:
    """The PTR question, and those about the case's host name, in some order."""
    return sorted([reverse_name(bench.ip) + " PTR", *(f"{bench.host} {kind}" for kind in kinds)])


# The questions.


@case(
    "smtp/dns/queries-are-plain-questions",
    "each query is one question of class IN with RD set, without EDNS or any record",
    rules="CORE-49 CORE-44 CORE-46",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    await check_name(bench, await greeted(bench), name)
    for octets in bench.dns.queries:
        query = dns.message.from_wire(octets)
        bench.check("the flags", query.flags, dns.flags.Flag.RD)
        bench.check("the opcode", query.opcode(), dns.opcode.QUERY)
        bench.check("the number of questions", len(query.question), 1)
        bench.check("the class", query.question[0].rdclass, dns.rdataclass.IN)
        bench.check("EDNS", query.edns, -1)
        bench.check("the sizes of the other sections", [*map(len, query.sections[1:])], [0, 0, 0])


@case(
    "smtp/dns/name-is-asked-in-lower-case",
    "the questions for the addresses have the PTR name in lower case",
    rules="CORE-46",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    bench.dns.names["HOST"] = bench.host.upper()
    name = confirm(bench, ptr=records("PTR {HOST}."))
    await check_name(bench, await greeted(bench), name)
    for octets in bench.dns.queries[1:]:
        asked = dns.message.from_wire(octets).question[0].name.to_text(omit_final_dot=True)
        bench.check("the name", asked, bench.host)


@case(
    "smtp/dns/queries-have-ids-that-differ",
    "of the three queries of a lookup not all have the same ID",
    rules="CORE-49",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    await check_name(bench, await greeted(bench), name)
    bench.check("several IDs", len({octets[:2] for octets in bench.dns.queries}) > 1, True)


@case(
    "smtp/dns/both-families-are-asked-at-once",
    "A and AAAA are asked for before either is answered, and both answers are awaited",
    rules="CORE-46",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    a, aaaa = bench.dns.hold(bench.host, "A"), bench.dns.hold(bench.host, "AAAA")
    client = await bench.client()
    await bench.dns.wait_asked(f"{bench.host} A", f"{bench.host} AAAA")
    a.set()
    await _neighbour_greeted(bench)
    await client.expect_nothing()
    aaaa.set()
    await client.expect(SMTP.greeting)
    await check_name(bench, client, name)


async def _neighbour_greeted(bench: Bench) -> None:
    """Let a client from another address be greeted: what came before, the target has dealt with by then."""
    ip = bench.ip.replace("127.", "127.1", 1)
    bench.knows(ip)
    bench.say_ptr(rcode("NXDOMAIN"), ip)
    await (await greeted(bench, source=ip)).close()


# Which answers count. A forged one comes first; the one that answers the question comes after it.


def _without_question(octets: bytes) -> bytes:
    return octets[:4] + b"\0\0" + octets[6:12]


def _with_bit(at: int, bit: int) -> Callable[[bytes], bytes]:
    """Turn one bit over."""
    return lambda octets: octets[:at] + bytes([octets[at] ^ bit]) + octets[at + 1 :]


FORGERIES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "wrong-id": ("has another ID", _with_bit(0, 1)),
    "question": ("is a question", _with_bit(2, 0x80)),
    "other-opcode": ("has another opcode", _with_bit(2, 0x10)),
    "reserved-bit": ("has the Z bit", _with_bit(3, 0x40)),
    "other-name": ("answers about another name", _with_bit(13, 1)),
    "no-question": ("has no question", _without_question),
    "two-questions": ("says that it has two questions", lambda octets: octets[:4] + b"\0\2" + octets[6:]),
    "short": ("is cut in its header", lambda octets: octets[:11]),
    "cut-question": ("is cut in its question", lambda octets: octets[:20]),
}


def _forged_ptr(forge: Callable[[bytes], bytes]) -> Script:
    async def script(bench: Bench) -> None:
        name = confirm(bench, ptr=several(raw(forge, rcode("NXDOMAIN")), OURS))
        await check_name(bench, await greeted(bench), name)
        bench.check("the questions", sorted(bench.dns.asked), questions(bench, "A", "AAAA"))

    return script


def _forged_a(forge: Callable[[bytes], bytes]) -> Script:
    async def script(bench: Bench) -> None:
        bench.say_ptr(OURS)
        bench.say_forward(several(raw(forge, FITS), records("A 192.0.2.1")), NO_DATA)
        await check_name(bench, await greeted(bench), UNAVAILABLE)

    return script


for slug, (what, forge) in FORGERIES.items():
    case(
        f"smtp/dns/ptr-answer-is-ignored-{slug}",
        f"a PTR answer that {what} is ignored, the next one counts",
        rules="CORE-50",
        directives="resolver",
        block=RESOLVING,
        level=Level.VENDOR,
    )(_forged_ptr(forge))
    case(
        f"smtp/dns/address-answer-is-ignored-{slug}",
        f"an answer with the client's address that {what} confirms nothing",
        rules="CORE-50",
        directives="resolver",
        block=RESOLVING,
        level=Level.VENDOR,
    )(_forged_a(forge))


@case(
    "smtp/dns/answers-may-have-ad-and-cd",
    "AD and CD in an answer do not matter",
    rules="CORE-50",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    def flagged(octets: bytes) -> bytes:
        return octets[:3] + bytes([octets[3] | 0x30]) + octets[4:]

    name = confirm(bench, ptr=raw(flagged, OURS), a=raw(flagged, FITS))
    await check_name(bench, await greeted(bench), name)


# TCP.


@case(
    "smtp/dns/truncated-addresses-are-asked-over-tcp",
    "an A answer with TC is asked again over TCP, and what comes there counts",
    rules="CORE-48",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    bench.dns.say(bench.host, "A", truncated, tcp=FITS)
    await check_name(bench, await greeted(bench), name)
    bench.check("A asked over TCP", f"{bench.host} A" in bench.dns.tcp, True)


@case(
    "smtp/dns/records-of-a-truncated-answer-do-not-count",
    "an address in an answer with TC is not believed when TCP says otherwise",
    rules="CORE-48",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    confirm(bench)
    with_tc = raw(lambda octets: octets[:2] + bytes([octets[2] | 2]) + octets[3:], FITS)
    bench.dns.say(bench.host, "A", with_tc, tcp=records("A 192.0.2.1"))
    await check_name(bench, await greeted(bench), UNAVAILABLE)


@case(
    "smtp/dns/truncated-answers-of-both-families",
    "when A and AAAA have TC both are asked over TCP",
    rules="CORE-48",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    bench.dns.say(bench.host, "A", truncated, tcp=FITS)
    bench.dns.say(bench.host, "AAAA", truncated, tcp=NO_DATA)
    await check_name(bench, await greeted(bench), name)
    bench.check("the questions over TCP", sorted({*bench.dns.tcp}), [f"{bench.host} A", f"{bench.host} AAAA"])


@case(
    "smtp/dns/truncated-ptr-is-used-as-it-is",
    "a PTR answer with TC is not asked again over TCP",
    rules="CORE-48",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    with_tc = raw(lambda octets: octets[:2] + bytes([octets[2] | 2]) + octets[3:], OURS)
    name = confirm(bench, ptr=with_tc)
    await check_name(bench, await greeted(bench), name)
    bench.check("the questions over TCP", bench.dns.tcp, [])


# Aliases over several answers.


@case(
    "smtp/dns/alias-only-is-followed",
    "where an answer has only a CNAME its target is asked for, and the PTR name stays the name",
    rules="CORE-48",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    alias = records("CNAME real.{host}.")
    bench.say_ptr(OURS)
    bench.say_forward(alias, alias)
    bench.dns.say(f"real.{bench.host}", "A", FITS)
    bench.dns.say(f"real.{bench.host}", "AAAA", NO_DATA)
    await check_name(bench, await greeted(bench), bench.host.encode())
    bench.check("the target asked", f"real.{bench.host} A" in bench.dns.asked, True)


@case(
    "smtp/dns/alias-loop-over-many-answers-ends",
    "names that are CNAME of each other, one answer each, end as unavailable",
    rules="CORE-48",
    directives="resolver",
    block=Block("smtp", "resolver {dns}; resolver_timeout 4s;"),
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    bench.say_ptr(OURS)
    bench.say_forward(records("CNAME real.{host}."), records("CNAME real.{host}."))
    back = records("CNAME {host}.")
    bench.dns.say(f"real.{bench.host}", "A", back)
    bench.dns.say(f"real.{bench.host}", "AAAA", back)
    await check_name(bench, await greeted(bench), UNAVAILABLE)


# Families.


def _family(family: str, name: bytes | None) -> Script:
    async def script(bench: Bench) -> None:
        host = confirm(bench)
        await check_name(bench, await greeted(bench), host if name is None else name)
        bench.check("the questions", sorted(bench.dns.asked), questions(bench, family))

    return script


for off, family, wanted in (("ipv6", "A", None), ("ipv4", "AAAA", UNAVAILABLE)):
    case(
        f"smtp/dns/{off}-off-asks-only-for-{family.lower()}",
        f"with {off}=off only {family} is asked for, and only it can confirm a name",
        rules="CORE-46 CORE-36 CORE-48",
        directives="resolver",
        block=Block("smtp", f"resolver {{dns}} {off}=off; resolver_timeout 1s;"),
    )(_family(family, wanted))


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
    block=Block("smtp", "resolver {dns} valid=1s; resolver_timeout 1s;"),
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
    block=Block("smtp", "resolver {dns}; resolver_timeout 4s;"),
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    pointer = reverse_name(bench.ip)
    held = bench.dns.hold(pointer, "PTR")
    first = await bench.client()
    await bench.dns.wait_asked(f"{pointer} PTR")
    second = await bench.client()
    await _neighbour_greeted(bench)
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
    rules="CORE-35 CORE-42",
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
    block=Block("smtp", "resolver {dns}; resolver_timeout 2s;"),
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    pointer, address = bench.dns.hold(reverse_name(bench.ip), "PTR"), bench.dns.hold(bench.host, "A")
    client = await bench.client()
    await bench.silence(1.2)
    pointer.set()
    await bench.dns.wait_asked(f"{bench.host} A")
    await bench.silence(1.2)  # together more than one resolver_timeout
    address.set()
    await client.expect(SMTP.greeting)
    await check_name(bench, client, name)
