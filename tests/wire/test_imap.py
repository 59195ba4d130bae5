"""IMAP as octets (imap rules, sections 4 and 5; proxy rules, section 7)."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from refproxy.errors import WireError
from refproxy.wire.imap import (
    Command,
    CommandParser,
    Literal,
    is_negative,
    is_non_synchronizing,
    last_line,
    measure_line,
    measure_reply,
    tag_of,
)


def parse(octets: bytes) -> tuple[bytes, Command | None, list[Literal]]:
    """Feed lines and literals as asked for; return the tag, the command (None if invalid) and its literals."""
    parser, literals = CommandParser(), []
    line, octets = _cut_line(octets)
    try:
        parser.begin(line)
        part = parser.arguments(line)
        while isinstance(part, Literal):
            literals.append(part)
            parser.literal(octets[: part.size])
            line, octets = _cut_line(octets[part.size :])
            part = parser.rest(line)
    except WireError:
        return parser.tag, None, literals
    return parser.tag, part, literals


def _cut_line(octets: bytes) -> tuple[bytes, bytes]:
    line, end, rest = octets.partition(b"\n")
    return line + end, rest


@pytest.mark.parametrize(
    ("line", "tag"),
    [
        (b"a NOOP\r\n", b"a"),
        (b"a.b-c_d9 x", b"a.b-c_d9"),
        (b"!#$&',/:;<=>?@[]^`|}~ x", b"!#$&',/:;<=>?@[]^`|}~"),
        (b"x" * 32 + b" ", b"x" * 32),
        (b"x" * 33 + b" ", b""),
        (b" NOOP", b""),
        (b"a", b""),
        (b"a\r\n", b""),
        *[(b"a" + bytes([octet]) + b" NOOP", b"") for octet in b'+*%"\\(){\0\t\r\n\x7f\x80\xff'],
    ],
)
def test_the_tag(line: bytes, tag: bytes) -> None:
    """IMAP-15 to IMAP-17: known from its space on; ASTRING-CHAR without "+"."""
    assert tag_of(line) == tag


@pytest.mark.parametrize(
    ("octets", "arguments"),
    [
        (b"a LOGIN\r\n", ()),
        (b"a  login  u  p  \n", (b"u", b"p")),
        (b'a LOGIN "u" "p"\r\n', (b"u", b"p")),
        (b'a LOGIN "u""p"\r\n', (b"u", b"p")),
        (b'a LOGIN "u"p\r\n', (b"u", b"p")),
        (b'a LOGIN "" ""\r\n', (b"", b"")),
        (b'a LOGIN "\\a\\"\\\\ \t\xff"\r\n', (b'a"\\ \t\xff',)),
        (b'a LOGIN u"er pa\\ss x{3}\r\n', (b'u"er', b"pa\\ss", b"x{3}")),
        (b"a LOGIN ~{4}\r\n", (b"~{4}",)),
        (b"a LOGIN {3}\r\na\r\n\r\n", (b"a\r\n",)),
        (b"a LOGIN {003}\r\nabc x\r\n", (b"abc", b"x")),
        (b"a LOGIN {0}\r\n {0+}\r\n\r\n", (b"", b"")),
        (b"a LOGIN {3}\r\r\nabc\r\n", (b"abc",)),
        (b"a LOGIN {3}\nabc\n", (b"abc",)),
        (b'a LOGIN "u"{1}\r\np\r\n', (b"u", b"p")),
        (b"a LOGIN {1}\r\n\0\r\n", (b"\0",)),
        (b"a LOGIN a b {1}\r\nc\r\n", (b"a", b"b", b"c")),
    ],
)
def test_the_arguments(octets: bytes, arguments: tuple[bytes, ...]) -> None:
    """IMAP-14, IMAP-18 to IMAP-22, IMAP-26, IMAP-27, IMAP-31."""
    assert parse(octets)[:2] == (b"a", Command(b"LOGIN", arguments))


@pytest.mark.parametrize(
    "octets",
    [
        b"a LOGIN a b c d\r\n",
        b'a LOGIN a b c "\r\n',
        b"a LOGIN a b c {1}\r\n",
        b"a LOGIN a b c {1+}\r\n",
        b'a LOGIN "u\r\n',
        b'a LOGIN "u\\\r\n',
        b'a LOGIN "u\0"\r\n',
        b'a LOGIN "u\rv"\r\n',
        b"a LOGIN u\0v\r\n",
        b"a LOGIN u\rv\r\n",
        b"a LOGIN u\r\r\n",
        b"a LOGIN {\r\n",
        b"a LOGIN {}\r\n",
        b"a LOGIN {+}\r\n",
        b"a LOGIN {4-}\r\n",
        b"a LOGIN {4x}\r\n",
        b"a LOGIN {-4}\r\n",
        b"a LOGIN {4} \r\n",
        b"a LOGIN {4}x\r\n",
        b"a LOGIN {4++}\r\n",
        b"a LOGIN {9223372036854775808}\r\n",
        b"a LOGIN {" + b"0" * 41 + b"}\r\n",
        b"a LOGIN {" + b"9" * 5000 + b"}\r\n",
        b"a LOGIN {1}\r\nab\r\n",
        b"a LOGIN\tu\r\n",
        b"a LOGINS u\r\n",
        b"a ID NIL\r\n",
        b"a \r\n",
        b"a 1\r\n",
    ],
)
def test_an_invalid_line_keeps_its_tag(octets: bytes) -> None:
    """IMAP-15, IMAP-19 to IMAP-24, IMAP-31."""
    assert parse(octets)[:2] == (b"a", None)


def test_the_largest_literal_is_a_number() -> None:
    """IMAP-10, IMAP-31: the announced size is not compared with anything here."""
    parser = CommandParser()
    line = b"a NOOP {9223372036854775807+}\r\n"
    parser.begin(line)
    assert parser.arguments(line) == Literal(2**63 - 1, synchronizing=False)


QUOTABLE = st.binary(max_size=12).filter(lambda text: not set(text) & set(b"\r\n\0"))


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["quoted", "{%d}", "{%d+}"]), QUOTABLE), max_size=3))
@example([("quoted", b'"\\'), ("{%d}", b""), ("quoted", b"")])
def test_arguments_round_trip(arguments: list[tuple[str, bytes]]) -> None:
    """IMAP-21, IMAP-26, IMAP-27: strings and literals in any mixture."""
    line = b"a LOGIN"
    for form, text in arguments:
        if form == "quoted":
            line += b' "' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        else:
            line += b" " + (form % len(text)).encode("ascii") + b"\r\n" + text
    tag, command, literals = parse(line + b"\r\n")
    assert (tag, command) == (b"a", Command(b"LOGIN", tuple(text for _, text in arguments)))
    assert [literal.synchronizing for literal in literals] == [form == "{%d}" for form, _ in arguments if "{" in form]


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_any_octets_are_a_command_or_invalid(octets: bytes) -> None:
    """IMAP-24."""
    for line in (octets, b"a LOGIN " + octets, b"a NOOP {2}\r\nxy" + octets):
        _, command, _ = parse(line + b"\r\n")
        assert command is None or len(command.arguments) <= 3


@pytest.mark.parametrize(
    ("line", "announces"),
    [
        (b"a FOO {10+}\r\n", True),
        (b"a FOO {10+}\n", True),
        (b"a FOO {10+}\r\r\n", True),
        (b"{1+}\n", True),
        (b"x+}\r\n", False),
        (b"+}\r\n", False),
        (b"a FOO {10}\r\n", False),
        (b"a FOO {10+} \r\n", False),
        (b"a FOO\r\n", False),
    ],
)
def test_a_refused_line_may_have_data_behind_it(line: bytes, announces: bool) -> None:
    """IMAP-25."""
    assert is_non_synchronizing(line) is announces


@pytest.mark.parametrize(
    ("received", "line", "reply"),
    [
        (b"", None, None),
        (b"* OK\n", None, None),
        (b"* OK x\r\n", 8, None),
        (b"+\r\n", 3, 3),
        (b"+ go\r\nmore", 6, 6),
        (b"* a\r\n* b\r\na OK\r\n* c\r\n", 5, 16),
        (b"* a\r\na OK\r", 5, None),
        (b"* BYE x\r\n", 9, 9),
        (b"* a\r\n* bye\r\nx", 5, 12),
        (b"*a OK\r\n", 7, 7),
    ],
)
def test_the_length_of_a_reply(received: bytes, line: int | None, reply: int | None) -> None:
    """PROXY-24, PROXY-58, PROXY-64: any number of untagged lines; BYE ends the wait."""
    assert measure_line(received) == line
    assert measure_reply(received) == reply


@pytest.mark.parametrize(
    ("reply", "last", "negative"),
    [
        (b"a NO x\r\n", b"a NO x\r\n", True),
        (b"a NO\r\n", b"a NO\r\n", True),
        (b"a BAD x\r\n", b"a BAD x\r\n", True),
        (b"* BYE x\r\n", b"* BYE x\r\n", True),
        (b"* OK foo\r\na01 NO bad\r\n", b"a01 NO bad\r\n", True),
        (b"* NO x\r\na OK y\r\n", b"a OK y\r\n", False),
        (b"a OK NO\r\n", b"a OK NO\r\n", False),
        (b"* PREAUTH hi\r\n", b"* PREAUTH hi\r\n", False),
        (b"a NOT x\r\n", b"a NOT x\r\n", False),
        (b"\r\n", b"\r\n", False),
    ],
)
def test_the_last_line_decides(reply: bytes, last: bytes, negative: bool) -> None:
    """PROXY-61, PROXY-67."""
    assert last_line(reply) == last
    assert is_negative(reply) is negative


@settings(derandomize=True, deadline=None)
@given(st.binary(max_size=80).map(lambda octets: octets.replace(b"\n", b"\r\n")))
def test_any_reply_can_be_measured_and_judged(received: bytes) -> None:
    """PROXY-24: a reply ends at a line end and has its last line at its end."""
    length = measure_reply(received)
    if length is not None:
        reply = received[:length]
        assert reply.endswith(b"\r\n")
        assert reply.endswith(last_line(reply))
        assert last_line(reply).count(b"\r\n") == 1
        assert is_negative(reply) in (True, False)
