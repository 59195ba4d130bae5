"""The client's host name: the questions, and which answers count (core rules, section 8.6)."""

from __future__ import annotations

from collections.abc import Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.cases.client_name import (
    FITS,
    NO_DATA,
    OURS,
    RESOLVING,
    UNAVAILABLE,
    check_name,
    confirm,
    neighbour_greeted,
    questions,
)
from conformance.dialogues import SMTP, greeted
from conformance.fakes.dns_server import Names, raw, rcode, records, several, truncated
from conformance.rulebook import Level

__all__: list[str] = []


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
    "smtp/dns/queries-leave-from-ports-of-their-own",
    "each query has another source port, so that a forger must guess more than the ID",
    rules="CORE-49",
    directives="resolver",
    block=RESOLVING,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    await check_name(bench, await greeted(bench), name)
    bench.check("the number of ports", len({*bench.dns.ports}), 3)


@case(
    "smtp/dns/unanswered-query-is-repeated",
    "a query without an answer is repeated after 5 s, and what comes then counts",
    rules="CORE-49",
    directives="resolver",
    block=RESOLVING,
    level=Level.VENDOR,
    limit=25.0,
)
async def _(bench: Bench) -> None:
    name = confirm(bench)
    pointer = questions(bench)[0]

    def answer(query: dns.message.Message, names: Names) -> bytes | list[bytes] | None:
        return OURS(query, names) if bench.dns.asked.count(pointer) > 1 else None

    bench.say_ptr(answer)
    started = trio.current_time()
    client = await greeted(bench)
    bench.check_duration("the greeting", started, 4.0)
    await check_name(bench, client, name)


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
    await neighbour_greeted(bench)
    await client.expect_nothing()
    aaaa.set()
    await client.expect(SMTP.greeting)
    await check_name(bench, client, name)


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
    block=RESOLVING,
    level=Level.VENDOR,
    limit=25.0,  # it takes a hundred questions
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
        block=Block("smtp", f"resolver {{dns}} {off}=off; resolver_timeout 30s;"),
    )(_family(family, wanted))
