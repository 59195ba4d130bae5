"""The client's host name: every outcome of the two DNS lookups, as others hear of it (core rules, section 8).

The PTR record names the client, the name's addresses must confirm it. Each outcome is seen three times: in
`Client-Host`, in XCLIENT's NAME, and in the questions that the name server was asked or was not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import admitted, greeted
from conformance.fakes.dns_server import Answer, no_answer, raw, rcode, records, reverse_name
from conformance.fakes.peer import Peer
from conformance.rulebook import Level
from conformance.smtp_words import serve, xclient

__all__ = [
    "FITS",
    "IMPATIENT",
    "NO_DATA",
    "OURS",
    "RESOLVING",
    "UNAVAILABLE",
    "check_name",
    "confirm",
    "neighbour_greeted",
    "questions",
]

RESOLVING = Block("smtp", "resolver {dns};")  # with 30 s for a lookup, longer than a case waits
IMPATIENT = Block("smtp", "resolver {dns}; resolver_timeout 4s;")  # for answers that never come, or may be waited for

UNAVAILABLE = b"[UNAVAILABLE]"
TEMPUNAVAIL = b"[TEMPUNAVAIL]"
NAME = b"{host}"
NO_DATA = rcode("NOERROR")
OURS = records("PTR {host}.")
FITS = records("A {ip}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the name server says, and what the name is then.

    `{host}` is the case's host name. `a` None means that the forward questions must not be asked at all.
    `quick`: an impatient proxy must not wait for `resolver_timeout` (ours).
    """

    title: str
    ptr: Answer
    name: bytes
    a: Answer | None = None
    aaaa: Answer = NO_DATA
    rules: str = "CORE-48 PROXY-39 SMTP-7"
    quick: bool = False
    asked: str = "{host}"  # the name whose addresses are asked for


def changed(octets: bytes, by: bytes, then: Answer) -> Answer:
    """Octets of a proper answer replaced by others of the same length, the last occurrence of them."""

    def change(answer: bytes) -> bytes:
        head, found, tail = answer.rpartition(octets)
        assert found
        return head + by + tail

    return raw(change, then)


def shortened(count: int, then: Answer) -> Answer:
    """A proper answer without its last octets."""
    return raw(lambda answer: answer[:-count], then)


def flagged(bit: int, then: Answer) -> Answer:
    """A proper answer with another bit set among its flags."""

    def change(answer: bytes) -> bytes:
        flags = int.from_bytes(answer[2:4], "big") | bit
        return answer[:2] + flags.to_bytes(2, "big") + answer[4:]

    return raw(change, then)


TC, AA, RA = 0x0200, 0x0400, 0x0080
IP_OCTETS = b"\x00\x04"  # the length of an A record's data

PTR_STEP = {
    "unavailable-on-nxdomain": Outcome("the PTR name does not exist", rcode("NXDOMAIN"), UNAVAILABLE),
    "unavailable-on-no-ptr-data": Outcome("the PTR name exists without any record", NO_DATA, UNAVAILABLE),
    "tempunavail-on-servfail": Outcome("the PTR step is SERVFAIL", rcode("SERVFAIL"), TEMPUNAVAIL),
    "tempunavail-on-refused": Outcome("the PTR step is REFUSED", rcode("REFUSED"), TEMPUNAVAIL),
    "tempunavail-on-notimp": Outcome("the PTR step is NOTIMP", rcode("NOTIMP"), TEMPUNAVAIL),
    "tempunavail-on-formerr": Outcome("the PTR step is FORMERR", rcode("FORMERR"), TEMPUNAVAIL, quick=True),
    "tempunavail-on-yxdomain": Outcome("the PTR step is YXDOMAIN", rcode("YXDOMAIN"), TEMPUNAVAIL, quick=True),
    "tempunavail-on-notauth": Outcome("the PTR step is NOTAUTH", rcode("NOTAUTH"), TEMPUNAVAIL, quick=True),
    "tempunavail-on-silence": Outcome("nobody answers about PTR", no_answer, TEMPUNAVAIL, rules="CORE-48 CORE-37"),
    "tempunavail-on-alias-only": Outcome(
        "the PTR answer has only a CNAME", records("CNAME sub.{host}."), TEMPUNAVAIL, quick=True
    ),
    "tempunavail-on-other-types": Outcome(
        "the PTR answer has only other types", records("A {ip}", "TXT {host}"), TEMPUNAVAIL, quick=True
    ),
    "tempunavail-on-cut-record": Outcome("the PTR record is cut short", shortened(4, OURS), TEMPUNAVAIL, quick=True),
    "tempunavail-on-reserved-label": Outcome(
        "the PTR record's name has a label of a reserved kind", changed(b"\x07clients", b"\x87clients", OURS),
        TEMPUNAVAIL, quick=True,
    ),
    "tempunavail-on-pointer-to-itself": Outcome(
        "the PTR record's name points at itself", raw(lambda octets: octets[:-2] + b"\xc0%c" % (len(octets) - 2),
        records("PTR {host}.")), TEMPUNAVAIL, quick=True,
    ),
    "confirmed": Outcome("an A record is the client's address", OURS, NAME, records("A {ip}"),
                         rules="CORE-48 CORE-46 SMTP-7"),
    "confirmed-in-lower-case": Outcome(
        "the PTR record is in capitals", records("PTR {HOST}."), NAME, records("A {ip}"), rules="CORE-46 PROXY-39"
    ),
    "confirmed-by-first-ptr": Outcome(
        "the first of several PTR records is the client's", records("PTR {host}.", "PTR other.{host}."), NAME,
        records("A {ip}"), rules="CORE-45 CORE-48",
    ),
    "unavailable-when-only-second-ptr-fits": Outcome(
        "only the second PTR record is the client's", records("PTR other.{host}.", "PTR {host}."), UNAVAILABLE,
        records("A {ip}"), rules="CORE-45 CORE-48", asked="other.{host}",
    ),
    "confirmed-behind-alias-of-ptr": Outcome(
        "a CNAME leads to the PTR record in one answer", records("CNAME sub.{host}.", "sub.{host}. PTR {host}."), NAME,
        records("A {ip}"), rules="CORE-45",
    ),
    "confirmed-with-truncated-ptr": Outcome(
        "the PTR answer has its record and TC", flagged(TC, OURS), NAME, records("A {ip}")
    ),
    "confirmed-with-flags-that-do-not-matter": Outcome(
        "the answers have AA and RA set", flagged(AA | RA, OURS), NAME, flagged(AA | RA, records("A {ip}")),
        rules="CORE-50",
    ),
}  # fmt: skip

FORWARD_STEP = {
    "unavailable-on-mismatch": Outcome("no address is the client's", OURS, UNAVAILABLE, records("A 192.0.2.1"),
                                       rules="CORE-47 CORE-48"),
    "unavailable-on-nxdomain-of-name": Outcome("the name does not exist", OURS, UNAVAILABLE, rcode("NXDOMAIN"),
                                               rcode("NXDOMAIN")),
    "unavailable-on-no-data-of-name": Outcome("the name has no addresses", OURS, UNAVAILABLE, NO_DATA),
    "confirmed-among-others": Outcome("the last of several A records fits", OURS, NAME,
                                      records("A 192.0.2.1", "A 192.0.2.2", "A {ip}")),
    "confirmed-beside-other-family": Outcome("A fits, and AAAA is another's", OURS, NAME, records("A {ip}"),
                                             records("AAAA 2001:db8::1")),
    "unavailable-on-other-family-only": Outcome("there are only AAAA records", OURS, UNAVAILABLE, NO_DATA,
                                                records("AAAA 2001:db8::1")),
    "unavailable-on-mapped-aaaa": Outcome("an AAAA record holds the client's IPv4 address", OURS, UNAVAILABLE, NO_DATA,
                                          records("AAAA ::ffff:{ip}")),
    "tempunavail-on-servfail-of-a": Outcome("A is SERVFAIL", OURS, TEMPUNAVAIL, rcode("SERVFAIL")),
    "tempunavail-on-servfail-beside-match": Outcome("A fits, and AAAA is SERVFAIL", OURS, TEMPUNAVAIL,
                                                    records("A {ip}"), rcode("SERVFAIL")),
    "tempunavail-on-refused-beside-match": Outcome("A fits, and AAAA is REFUSED", OURS, TEMPUNAVAIL,
                                                   records("A {ip}"), rcode("REFUSED")),
    "tempunavail-on-notimp-beside-match": Outcome("A fits, and AAAA is NOTIMP", OURS, TEMPUNAVAIL,
                                                  records("A {ip}"), rcode("NOTIMP")),
    "unavailable-on-nxdomain-beside-match": Outcome("A fits, and AAAA is NXDOMAIN", OURS, UNAVAILABLE,
                                                    records("A {ip}"), rcode("NXDOMAIN")),
    "tempunavail-on-formerr-beside-match": Outcome("A fits, and AAAA is FORMERR", OURS, TEMPUNAVAIL,
                                                   records("A {ip}"), rcode("FORMERR"), quick=True),
    "tempunavail-on-silence-beside-match": Outcome("A fits, and AAAA is not answered", OURS, TEMPUNAVAIL,
                                                   records("A {ip}"), no_answer, rules="CORE-48 CORE-46"),
    "tempunavail-on-silence-of-a": Outcome("A is not answered", OURS, TEMPUNAVAIL, no_answer),
    "tempunavail-on-nxdomain-and-servfail": Outcome("A is NXDOMAIN, and AAAA is SERVFAIL", OURS, TEMPUNAVAIL,
                                                    rcode("NXDOMAIN"), rcode("SERVFAIL")),
    "tempunavail-on-other-types-of-name": Outcome("the answers hold neither addresses nor CNAME", OURS, TEMPUNAVAIL,
                                                  records("TXT x"), records("TXT x"), quick=True),
    "tempunavail-on-short-address": Outcome("an A record says that it has 3 octets", OURS, TEMPUNAVAIL,
                                            changed(IP_OCTETS, b"\0\3", records("A {ip}")), quick=True),
    "tempunavail-on-cut-address": Outcome("an A record is cut", OURS, TEMPUNAVAIL,
                                          shortened(2, records("A {ip}")), quick=True),
    "confirmed-through-chain": Outcome(
        "a chain of CNAME records in one answer leads to the address", OURS, NAME,
        records("CNAME a.{host}.", "a.{host}. CNAME b.{host}.", "b.{host}. A {ip}"),
        records("CNAME a.{host}.", "a.{host}. CNAME b.{host}."),
    ),
    "unavailable-on-loop": Outcome("two names are CNAME of each other", OURS, UNAVAILABLE,
                                   records("CNAME a.{host}.", "a.{host}. CNAME {host}."),
                                   records("CNAME a.{host}.", "a.{host}. CNAME {host}.")),
}  # fmt: skip

BAD_NAMES = {
    "underscore": ("an underscore", "my_host.{host}."),
    "space": ("a space", r"a\032b.{host}."),
    "line-end": ("CR and LF", r"a\013\010QUIT.{host}."),
    "nul": ("an octet of zero", r"a\000b.{host}."),
    "eight-bit": ("an octet with its eighth bit", r"m\195\188ller.{host}."),
    "tab": ("a TAB", r"a\009b.{host}."),
    "delete": ("DEL", r"a\127b.{host}."),
    "colon": ("a colon", r"a:b.{host}."),
    "bracket": ("brackets", r"[UNAVAILABLE].{host}."),
    "equals-sign": ("an equals sign", r"a=b.{host}."),
    "slash": ("a slash", r"a/b.{host}."),
}
EDGES = {
    "tempunavail-on-empty-name": Outcome("the PTR record is the root", records("PTR ."), TEMPUNAVAIL,
                                         rules="CORE-51"),
    "unavailable-on-dot-in-label": Outcome("a label of the name ends with a dot, so the name has an empty label",
                                           records(r"PTR x\..{host}."), UNAVAILABLE),
    **{
        f"tempunavail-on-{slug}": Outcome(f"the PTR name has {what}", records(f"PTR {text}"), TEMPUNAVAIL,
                                          rules="CORE-51 PROXY-39 CORE-48")
        for slug, (what, text) in BAD_NAMES.items()
    },
}  # fmt: skip


def say(bench: Bench, outcome: Outcome) -> None:
    """Let the name server answer like this."""
    bench.dns.names["HOST"] = bench.host.upper()
    bench.say_ptr(outcome.ptr)
    if outcome.a is not None:
        bench.say_forward(outcome.a, outcome.aaaa)


async def check_name(bench: Bench, client: Peer, name: bytes) -> None:
    """Log in a greeted client; auth server and backend must be told this name. Raises Mismatch."""
    request, backend = await admitted(bench, client)
    bench.check("Client-Host", request["Client-Host"], name)
    await backend.send(b"220 backend.example ESMTP\r\n")
    await serve(backend, (b"EHLO mx.example\r\n", b"250 backend.example\r\n"))
    await backend.expect(xclient(bench, name=name))


def confirm(bench: Bench, ptr: Answer = OURS, a: Answer = FITS) -> bytes:
    """Let the case's host name be confirmed; return it."""
    bench.say_ptr(ptr)
    bench.say_forward(a, NO_DATA)
    return bench.host.encode()


def questions(bench: Bench, *kinds: str) -> list[str]:
    """The PTR question, and those about the case's host name, in some order."""
    return sorted([reverse_name(bench.ip) + " PTR", *(f"{bench.host} {kind}" for kind in kinds)])


async def neighbour_greeted(bench: Bench) -> None:
    """Let a client from another address be greeted: what came before, the target has dealt with by then."""
    ip = bench.ip.replace("127.", "127.1", 1)
    bench.knows(ip)
    bench.say_ptr(rcode("NXDOMAIN"), ip)
    await (await greeted(bench, source=ip)).close()


def _script(outcome: Outcome) -> Script:
    async def script(bench: Bench) -> None:
        say(bench, outcome)
        client = await greeted(bench)
        await check_name(bench, client, outcome.name.replace(b"{host}", bench.host.encode()))
        question = reverse_name(bench.ip) + " PTR"
        bench.check("the first question", bench.dns.asked[0], question)
        if outcome.a is None:
            bench.check("the questions", bench.dns.asked, [question])
        else:
            name = outcome.asked.format(host=bench.host)
            bench.check("the questions", sorted(bench.dns.asked), sorted([question, f"{name} A", f"{name} AAAA"]))

    return script


def _at_once(outcome: Outcome) -> Script:
    async def script(bench: Bench) -> None:
        say(bench, outcome)
        await check_name(bench, await greeted(bench), outcome.name)

    return script


for slug, outcome in {**PTR_STEP, **FORWARD_STEP, **EDGES}.items():
    case(
        f"smtp/xclient/name-{slug}",
        f"NAME when {outcome.title}",
        rules=outcome.rules,
        directives="xclient resolver resolver_timeout",
        block=IMPATIENT if outcome.name == TEMPUNAVAIL else RESOLVING,
        level=Level.VENDOR,  # the value; that it may come sooner is our own
    )(_script(outcome))
    if outcome.quick:
        case(
            f"smtp/greeting/does-not-wait-in-vain-{slug}",
            f"the greeting does not wait for resolver_timeout when {outcome.title}",
            rules="CORE-48",
            directives="resolver resolver_timeout",
            block=RESOLVING,
        )(_at_once(outcome))
