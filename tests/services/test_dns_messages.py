"""DNS messages, against those that dnspython makes."""

from __future__ import annotations

from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.name import from_text
from dns.rdatatype import RdataType
from hypothesis import given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.services.dns_messages import (
    Answer,
    Question,
    explain,
    format_query,
    parse_answer,
    parse_name,
    reverse_question,
    show_name,
)

IDENT = 0x1234
HOST = from_text("host.example.")
QUESTION_A = Question(HOST, RdataType.A)
QUESTION_AAAA = Question(HOST, RdataType.AAAA)
QUESTION_PTR = Question(from_text("7.2.0.192.in-addr.arpa."), RdataType.PTR)


def response(question: Question, *records: str, rcode: int = 0, flags: int = 0) -> bytes:
    """The response to a query, with records in the text of zone files, as in `host.example. 60 A 192.0.2.1`."""
    message = dns.message.make_response(dns.message.from_wire(format_query(question, IDENT)))
    message.set_rcode(dns.rcode.Rcode(rcode))
    message.flags |= flags
    for record in records:
        owner, ttl, kind, data = record.split(" ", 3)
        message.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", kind, data))
    return message.to_wire()


def raw_response(question: Question, records: bytes, count: int, flags: int = 0x8180) -> bytes:
    query = format_query(question, IDENT)
    return query[:2] + flags.to_bytes(2, "big") + b"\0\1" + count.to_bytes(2, "big") + bytes(4) + query[12:] + records


def record(kind: RdataType, data: bytes, *, owner: bytes = b"\xc0\x0c", class_: int = 1, ttl: int = 60) -> bytes:
    parts = (kind.to_bytes(2, "big"), class_.to_bytes(2, "big"), ttl.to_bytes(4, "big"), len(data).to_bytes(2, "big"))
    return owner + b"".join(parts) + data


def ignored(octets: bytes, question: Question = QUESTION_A, transport: str = "UDP") -> str:
    with pytest.raises(WireError) as refused:
        parse_answer(octets, question, IDENT, transport)
    return str(refused.value)


# -- questions -----------------------------------------------------------------------------------------------------


def test_a_query_has_one_question_and_wants_recursion() -> None:
    """CORE-49: RD, class IN, no EDNS; nothing behind the question."""
    assert format_query(QUESTION_A, 0xABCD) == (
        b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04host\x07example\x00\x00\x01\x00\x01"
    )
    assert format_query(QUESTION_PTR, 0)[-4:] == b"\x00\x0c\x00\x01"
    assert format_query(QUESTION_AAAA, 0)[-4:] == b"\x00\x1c\x00\x01"


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("192.0.2.7", "7.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
        ("::ffff:192.0.2.7", "7.0.2.0.0.0.0.c.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa"),
    ],
)
def test_the_question_for_an_address(ip: str, name: str) -> None:
    """CORE-44."""
    question = reverse_question(ip_address(ip))
    assert (show_name(question.name), question.kind) == (name, RdataType.PTR)


@pytest.mark.parametrize("text", [b"", b".", b"a..b", b".a", b"a" * 64 + b".b", b"a." * 127 + b"ab"])
def test_names_that_no_query_can_carry(text: bytes) -> None:
    """CORE-48, the row of the label structure."""
    with pytest.raises(WireError):
        parse_name(text)


@pytest.mark.parametrize("text", [b"a", b"a.", b"a" * 63 + b".b", b"a." * 126 + b"a", b"\xffa.b\\c"])
def test_names_that_a_query_can_carry(text: bytes) -> None:
    assert b".".join(parse_name(text).labels) == text.removesuffix(b".") + b"."


def test_names_are_shown_harmlessly() -> None:
    assert show_name(parse_name(b"a\r\n\xff.b")) == "a\\x0d\\x0a\\xff.b"


# -- what answers say ----------------------------------------------------------------------------------------------


def test_addresses_in_the_order_of_the_answer_and_once() -> None:
    answer = parse_answer(
        response(QUESTION_A, "host.example. 60 A 192.0.2.9", "host.example. 9 A 192.0.2.1"), QUESTION_A, IDENT
    )
    assert (answer.addresses, answer.ttl, answer.empty) == (("192.0.2.9", "192.0.2.1"), 9, False)
    twice = record(RdataType.A, b"\x7f\0\0\1") * 2
    assert parse_answer(raw_response(QUESTION_A, twice, 2), QUESTION_A, IDENT).addresses == ("127.0.0.1",)
    answer = parse_answer(response(QUESTION_AAAA, "host.example. 60 AAAA 2001:DB8::0:1"), QUESTION_AAAA, IDENT)
    assert answer.addresses == ("2001:db8::1",)


def test_a_chain_of_aliases() -> None:
    """CORE-52: the shortest of all TTLs counts."""
    octets = response(QUESTION_A, "host.example. 5 CNAME b.example.", "b.example. 60 A 192.0.2.1")
    answer = parse_answer(octets, QUESTION_A, IDENT)
    assert answer.aliases == {HOST: from_text("b.example.")}
    assert (answer.addresses, answer.ttl) == (("192.0.2.1",), 5)


def test_the_first_pointer_wins_and_has_its_own_ttl() -> None:
    """CORE-45."""
    octets = response(
        QUESTION_PTR,
        "7.2.0.192.in-addr.arpa. 5 CNAME 7.0-25.2.0.192.in-addr.arpa.",
        "7.0-25.2.0.192.in-addr.arpa. 60 PTR First.Example.",
        "7.0-25.2.0.192.in-addr.arpa. 7 PTR second.example.",
    )
    answer = parse_answer(octets, QUESTION_PTR, IDENT)
    assert (answer.pointer, answer.ttl) == (b"First.Example", 60)
    assert parse_answer(octets[:-5], QUESTION_PTR, IDENT).pointer == b"First.Example"


def test_what_else_is_in_an_answer_does_not_matter() -> None:
    """Other types and other classes, and what lies behind the answer section."""
    records = record(RdataType.TXT, b"\x01x") + record(RdataType.A, b"\x7f\0\0\1", class_=3)
    answer = parse_answer(raw_response(QUESTION_A, records + b"trailing", 2), QUESTION_A, IDENT)
    assert answer == Answer()
    assert not answer.empty
    answer = parse_answer(response(QUESTION_AAAA, "host.example. 60 A 192.0.2.9"), QUESTION_AAAA, IDENT)
    assert answer.addresses == ()


def test_an_answer_without_records_is_empty() -> None:
    assert parse_answer(response(QUESTION_A), QUESTION_A, IDENT) == Answer(empty=True)


def test_the_root_as_a_pointer_is_an_empty_name() -> None:
    assert parse_answer(response(QUESTION_PTR, "x. 60 PTR ."), QUESTION_PTR, IDENT).pointer == b""


def test_a_negative_ttl_is_none() -> None:
    """RFC 2181 section 8."""
    octets = raw_response(QUESTION_A, record(RdataType.A, b"\x7f\0\0\1", ttl=2**31), 1)
    assert parse_answer(octets, QUESTION_A, IDENT).ttl == 0


def test_letters_of_the_question_may_change_their_case() -> None:
    octets = response(QUESTION_A, "host.example. 60 A 192.0.2.9").replace(b"host", b"HosT")
    assert parse_answer(octets, QUESTION_A, IDENT).addresses == ("192.0.2.9",)


@pytest.mark.parametrize("rcode", range(1, 16))
def test_an_error_says_nothing_else(rcode: int) -> None:
    octets = response(QUESTION_A, "host.example. 60 A 192.0.2.9", rcode=rcode)
    assert parse_answer(octets, QUESTION_A, IDENT) == Answer(rcode)


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 9])
def test_an_error_need_not_repeat_the_question(rcode: int) -> None:
    """CORE-50: a server that cannot read the question cannot repeat it."""
    octets = IDENT.to_bytes(2, "big") + bytes((0x80, rcode)) + bytes(8)
    assert parse_answer(octets, QUESTION_A, IDENT) == Answer(rcode)


def test_truncation_keeps_what_there_is() -> None:
    """CORE-48."""
    octets = response(QUESTION_PTR, "x. 60 PTR first.example.", flags=dns.flags.TC)
    answer = parse_answer(octets, QUESTION_PTR, IDENT)
    assert (answer.truncated, answer.pointer) == (True, b"first.example")
    octets = response(QUESTION_A, "host.example. 60 A 192.0.2.9", flags=dns.flags.TC)
    assert parse_answer(octets[:-2], QUESTION_A, IDENT) == Answer(truncated=True)


def test_codes_in_the_words_of_the_log() -> None:
    assert [explain(code) for code in (1, 2, 3, 4, 5, 9, 110)] == [
        *("1: Format error", "2: Server failure", "3: Host not found", "4: Unimplemented", "5: Operation refused"),
        *("9: Unknown error", "110: Operation timed out"),
    ]


# -- answers to ignore ---------------------------------------------------------------------------------------------


def test_a_message_with_another_ident_is_ignored() -> None:
    """CORE-50."""
    octets = b"\0\7" + response(QUESTION_A)[2:]
    assert ignored(octets) == "wrong ident 7 in DNS response for host.example, expect 4660"
    octets = b"\0\7" + response(QUESTION_A, rcode=2)[2:]
    assert ignored(octets) == "wrong ident 7 in DNS response for host.example, expect 4660"


@pytest.mark.parametrize(
    ("flags", "shown"), [(0x0100, "0100"), (0x8900, "8900"), (0x8140, "8140"), (0xF840, "F840"), (0, "0000")]
)
def test_a_message_that_is_no_answer_to_a_query_is_ignored(flags: int, shown: str) -> None:
    """CORE-50: QR=1, OPCODE=0, Z=0."""
    octets = raw_response(QUESTION_A, b"", 0, flags)
    assert ignored(octets) == f"invalid UDP DNS response 4660 fl:{shown}"
    assert ignored(octets, transport="TCP") == f"invalid TCP DNS response 4660 fl:{shown}"


@pytest.mark.parametrize("flags", [0x8000, 0x8400, 0x8080, 0x8020, 0x8010, 0x85B0])
def test_other_flags_do_not_matter(flags: int) -> None:
    """CORE-50: AA, RD, RA, AD, CD."""
    assert parse_answer(raw_response(QUESTION_A, b"", 0, flags), QUESTION_A, IDENT) == Answer(empty=True)


def test_over_tcp_nothing_is_truncated() -> None:
    octets = response(QUESTION_A, flags=dns.flags.TC)
    assert ignored(octets, transport="TCP") == "invalid TCP DNS response 4660 fl:8300"


@pytest.mark.parametrize(
    "other",
    [
        Question(from_text("other.example."), RdataType.A),
        Question(HOST, RdataType.TXT),
    ],
)
def test_the_answer_to_another_question_is_ignored(other: Question) -> None:
    """CORE-50."""
    assert ignored(response(other)) == f"unexpected DNS response for {show_name(other.name)}"


def test_the_answer_about_another_class_is_ignored() -> None:
    """CORE-50."""
    assert ignored(response(QUESTION_A)[:-1] + b"\3") == "unexpected DNS response for host.example"


def test_a_count_of_questions_that_cannot_be_is_ignored() -> None:
    """CORE-50."""
    octets = response(QUESTION_A)
    assert ignored(octets[:5] + b"\2" + octets[6:]) == "invalid number of questions in DNS response"
    assert ignored(octets[:5] + b"\0" + octets[6:]) == "invalid number of questions in DNS response"


@pytest.mark.parametrize("size", [0, 1, 11, 12, 20, 29])
def test_a_message_cut_before_the_end_of_its_question_is_ignored(size: int) -> None:
    """CORE-50."""
    assert ignored(response(QUESTION_A)[:size]) == "short DNS response"


# -- malformed answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "records",
    [
        record(RdataType.A, b"\x7f\0\0\1")[:-1],
        record(RdataType.A, b"\x7f\0\0"),
        record(RdataType.A, b"\x7f\0\0\1\1"),
        record(RdataType.A, b"\x7f\0\0\1", owner=b"\x41"),
        record(RdataType.CNAME, b"\xc0\xff"),
        record(RdataType.CNAME, b"\x80"),
        record(RdataType.CNAME, b"\1a"),
        record(RdataType.CNAME, b"\1a\0\0"),
        record(RdataType.CNAME, b"\1a\0", owner=b"\xc0\x50"),
        b"",
    ],
    ids=["cut", "short", "long", "owner", "forward", "label", "open", "behind", "owner_forward", "missing"],
)
def test_unreadable_records_are_a_format_error(records: bytes) -> None:
    """CORE-48: such an answer will never become usable."""
    assert parse_answer(raw_response(QUESTION_A, records, 1), QUESTION_A, IDENT) == Answer(rcode=1)


def test_names_longer_than_names_may_be_are_a_format_error() -> None:
    pointer = record(RdataType.PTR, (b"\x3f" + b"a" * 63) * 4 + b"\0")
    assert parse_answer(raw_response(QUESTION_PTR, pointer, 1), QUESTION_PTR, IDENT) == Answer(rcode=1)


@pytest.mark.parametrize(("pointers", "expected"), [(200, 0), (300, 1)])
def test_pointers_to_pointers_are_followed_up_to_a_limit(pointers: int, expected: int) -> None:
    """Following as many as a message holds, for each of its records, would keep the process busy for seconds."""
    start = len(raw_response(QUESTION_A, b"", 0)) + len(record(RdataType.TXT, b""))
    chain = b"\xc0\x0c" + b"".join((0xC000 + start + 2 * i).to_bytes(2, "big") for i in range(pointers))
    alias = record(RdataType.CNAME, (0xC000 + start + 2 * pointers).to_bytes(2, "big"))
    octets = raw_response(QUESTION_A, record(RdataType.TXT, chain) + alias, 2)
    assert parse_answer(octets, QUESTION_A, IDENT).rcode == expected


def test_of_many_aliases_only_as_many_are_read_as_may_be_followed() -> None:
    """CORE-48: 50 steps are the limit; the 51st shows that it was exceeded."""
    names = [f"n{number}.example." for number in range(80)]
    octets = response(QUESTION_A, *(f"{owner} 60 CNAME {names[at + 1]}" for at, owner in enumerate(names[:-1])))
    assert list(parse_answer(octets, QUESTION_A, IDENT).aliases) == [from_text(name) for name in names[:51]]
    repeated = raw_response(QUESTION_A, record(RdataType.CNAME, b"\1a\0") * 51 + record(RdataType.CNAME, b"\x80"), 52)
    assert parse_answer(repeated, QUESTION_A, IDENT).rcode == 0


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.binary(max_size=60),
    st.integers(0, 4),
    st.sampled_from([QUESTION_A, QUESTION_AAAA, QUESTION_PTR]),
    st.sampled_from([RdataType.A, RdataType.CNAME, RdataType.PTR, RdataType.AAAA]),
)
def test_any_octets_are_an_answer_or_ignored(octets: bytes, count: int, question: Question, kind: RdataType) -> None:
    for message in (
        octets,
        raw_response(question, octets, count),
        raw_response(question, record(kind, octets), 1),
        raw_response(question, record(kind, octets), 1, 0x8380),
    ):
        try:
            answer = parse_answer(message, question, IDENT)
        except WireError:
            continue
        assert all(str(ip_address(address)) == address for address in answer.addresses)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.ip_addresses(v=6), max_size=5, unique=True), st.integers(0, 2**31 - 1))
def test_addresses_come_back_as_they_were_sent(addresses: list[object], ttl: int) -> None:
    octets = response(QUESTION_AAAA, *(f"host.example. {ttl} AAAA {address}" for address in addresses))
    assert parse_answer(octets, QUESTION_AAAA, IDENT).addresses == tuple(map(str, addresses))
