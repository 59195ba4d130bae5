"""IMAP LOGIN: every form of an argument, and what the auth server reads of it (imap rules, 4, 5 and 8)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from conformance.attempts import Attempt, Turn, check_attempt, demands, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, case
from conformance.rulebook import Level

__all__: list[str] = []

IMAP = Block("imap")
GO = b"+ OK\r\n"
BAD = b"a BAD invalid command\r\n"
UNTAGGED = b"* BAD invalid command\r\n"


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write an argument: the octets, those after the announcement, and the value, percent-encoded."""

    octets: bytes
    data: bytes | None
    value: bytes


FORMS = {
    # Each holds what only its form can hold, so that a parser that mixes them up is found out.
    "an-atom": Form(b'u"s{3}\\e%', None, b'u"s{3}\\e%25'),
    "a-quoted-string": Form(b'"u {3} \\"\\\\s\\er"', None, b'u%20{3}%20"\\ser'),
    "a-waited-literal": Form(b"{9}", b'u\r\n" \\s\n\xe9', b'u%0D%0A"%20\\s%0A\xe9'),
    "an-unwaited-literal": Form(b"{7+}", b"a x\r\n{}", b"a%20x%0D%0A{}"),
}


def turns_of(user: Form, password: Form) -> tuple[list[Turn], bytes]:
    """The turns with which LOGIN is sent, and the last piece, after which the attempt begins."""
    turns: list[Turn] = []
    piece = b"a LOGIN "
    for form, end in ((user, b" "), (password, b"\r\n")):
        piece += form.octets
        if form.data is not None:
            piece += b"\r\n"
            if b"+" not in form.octets:
                turns.append((piece, GO))
                piece = b""
            piece += form.data
        piece += end
    return turns, piece


STRICT = "IMAP-26 IMAP-27 IMAP-41 IMAP-21 SASL-60"
for (user_name, user), (password_name, password) in product(FORMS.items(), repeat=2):
    turns, last = turns_of(user, password)
    wanted = Attempt(user.value, password.value)
    case(
        f"imap/login/{user_name}-and-{password_name}",
        f"LOGIN with {user_name.replace('-', ' ')} and {password_name.replace('-', ' ')}",
        # The atom holds what no RFC allows in one: whether that is taken is the vendors' decision.
        rules="IMAP-41 IMAP-21 SASL-60" if "an-atom" in (user_name, password_name) else STRICT,
        needs=demands(password.value),
        block=IMAP,
    )(login(*turns, then=last, wanted=wanted))


# Attempts: values at the edges of each form.

LOGINS: dict[str, tuple[str, str, tuple[Turn, ...], bytes, Attempt]] = {
    # slug: what, rules, turns, the last piece, what the auth server reads
    "empty-password": ("an empty quoted string", "IMAP-40", (), b'a LOGIN user ""\r\n', Attempt(password=b"")),
    "spaces-everywhere": ("between and behind", "IMAP-18 IMAP-41", (), b"a   LOGIN   user    pass   \r\n", Attempt()),
    "bare-line-feed": ("ends LOGIN too", "IMAP-14 IMAP-41", (), b"a LOGIN user pass\n", Attempt()),
    "quoted-strings-touch": ("no space is needed behind a quote", "IMAP-22", (), b'a LOGIN "user""pass"\r\n',
                             Attempt()),
    "quoted-string-touches-an-atom": ("no space is needed behind a quote", "IMAP-22", (), b'a LOGIN "user"pass\r\n',
                                      Attempt()),
    "quoted-string-touches-a-literal": ("no space is needed behind a quote", "IMAP-22",
                                        ((b'a LOGIN "user"{4}\r\n', GO),),
                                        b"pass\r\n", Attempt()),
    "quote-inside-an-atom": ("data", "IMAP-21", (), b'a LOGIN us"er" pa"ss\r\n', Attempt(b'us"er"', b'pa"ss')),
    "escapes-of-plain-letters": ("the letter itself", "IMAP-41 IMAP-21", (), b'a LOGIN "u\\ser" "p\\ ass"\r\n',
                                 Attempt(password=b"p%20ass")),
    "control-octets": ("data, percent-encoded", "IMAP-21 SASL-60", (), b'a LOGIN u\x01\t\x1f "p\x7f\x0b "\r\n',
                       Attempt(b"u%01%09%1F", b"p\x7f%0B%20")),
    "high-octets": ("data, sent as they are", "IMAP-21 SASL-60", (), b'a LOGIN us\xc3\xa9r "\xff\x80"\r\n',
                    Attempt(b"us\xc3\xa9r", b"\xff\x80")),
    "percent": ("encoded once", "SASL-60", (), b"a LOGIN a%20b %25\r\n", Attempt(b"a%2520b", b"%2525")),
    "tilde-is-an-atom": ("`~{4}` announces nothing", "IMAP-31", (), b"a LOGIN ~{4} pass\r\n", Attempt(b"~{4}")),
    "brace-inside-an-atom": ("announces nothing", "IMAP-21", (), b"a LOGIN user x{4}\r\n", Attempt(password=b"x{4}")),
    "literal-size-with-zeros": ("`{004}` is 4", "IMAP-31", ((b"a LOGIN {004}\r\n", GO),), b"user pass\r\n", Attempt()),
    "announcement-before-a-bare-line-feed": ("as good as CRLF", "IMAP-26 IMAP-14", ((b"a LOGIN {4}\n", GO),),
                                             b"user pass\n", Attempt()),
    "spaces-behind-a-literal": ("any number", "IMAP-22 IMAP-18", ((b"a LOGIN {4}\r\n", GO),), b"user   pass\r\n",
                                Attempt()),
    "literal-with-its-data-at-once": ("the continuation comes all the same", "IMAP-28",
                                      ((b"a LOGIN {4}\r\nuser {4}\r\npass\r\n", GO + GO),), b"", Attempt()),
    "literal-full-of-line-ends": ("only the count matters", "IMAP-26",
                                  ((b"a LOGIN {4}\r\n", GO), (b"\r\n\r\n {6}\r\n", GO)),
                                  b"\n\r\n\n\r\n\r\n", Attempt(b"%0D%0A%0D%0A", b"%0A%0D%0A%0A%0D%0A")),
    "literal-that-looks-like-a-command": ("data", "IMAP-26", ((b"a LOGIN user {10}\r\n", GO),), b"b LOGOUT\r\n\r\n",
                                          Attempt(password=b"b%20LOGOUT%0D%0A")),
    "literals-of-printable-octets": ("data", "IMAP-26", ((b"a LOGIN {9}\r\n", GO), (b'u "{3}\\ x {9}\r\n', GO)),
                                     b'"p {3}\\s%\r\n', Attempt(b'u%20"{3}\\%20x', b'"p%20{3}\\s%25')),
    "literal-with-braces": ("data", "IMAP-27", (), b"a LOGIN {4+}\r\n{3+} {5+}\r\n{9}\r\n\r\n",
                            Attempt(b"{3+}", b"{9}%0D%0A")),
    "long-values": ("whole", "IMAP-6 IMAP-41", ((b"a LOGIN {1000}\r\n", GO), (b"u" * 1000 + b" {2000}\r\n", GO)),
                    b"p" * 2000 + b"\r\n", Attempt(b"u" * 1000, b"p" * 2000)),
}  # fmt: skip
for slug, (what, rules, turns_before, last, wanted) in LOGINS.items():
    case(f"imap/login/{slug}", what, rules=rules, needs=demands(wanted.password), block=IMAP)(
        login(*turns_before, then=last, wanted=wanted)
    )

case(
    "imap/login/octet-by-octet",
    "LOGIN with two literals in pieces of one octet",
    rules="IMAP-28 IMAP-26",
    block=IMAP,
)(
    login(
        (b"a LOGIN {4}\r\n", GO), then=b"u\r\nr {4+}\r\npa\n\r\r\n", pieces=1, wanted=Attempt(b"u%0D%0Ar", b"pa%0A%0D")
    )
)


@case("imap/login/works-where-it-is-not-configured", "LOGIN needs no imap_auth", rules="IMAP-42 SASL-2",
      block=Block("imap", "imap_auth cram-md5;"), directives="imap_auth")  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"a LOGIN user pass\r\n")
    await check_attempt(bench, client, Attempt())


@case(
    "imap/login/nothing-of-a-refused-line-lives-on",
    "quotes, arguments and literals of refused lines do not change the next LOGIN",
    rules="IMAP-24 IMAP-15 IMAP-41",
    block=Block("imap", "max_errors 20;"),
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(
        client,
        (b"a LOGIN one two three four\r\n", BAD),
        (b"b LOGIN {3}\r\n", GO),
        (b"one\r\n", b"b BAD invalid command\r\n"),
        (b'c LOGIN "one" "two\\\r\n', b"c BAD invalid command\r\n"),
        (b"d LOGIN one {3}x\r\n", b"d BAD invalid command\r\n"),
    )
    await client.send(b"a LOGIN us er\r\n")
    await check_attempt(bench, client, Attempt(b"us", b"er"))


# Arguments that are none: the line is refused, nobody is asked, the connection is kept.

REFUSED: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    "backslash-before-the-line-end": ("escapes no line end", "IMAP-21", ((b'a LOGIN user "pass\\\r\n', BAD),)),
    "literal-touches-an-atom": ("a space is needed behind a literal", "IMAP-22",
                                ((b"a LOGIN {4}\r\n", GO), (b"userx pass\r\n", BAD))),
    "literal-touches-a-quoted-string": ("a space is needed behind a literal", "IMAP-22",
                                        ((b"a LOGIN {4}\r\n", GO), (b'user"pass"\r\n', BAD))),
    "literal-size-with-a-letter": ("no announcement", "IMAP-31", ((b"a LOGIN {4x}\r\n", BAD),)),
    "literal-size-with-a-minus-behind": ("RFC 7888's `{4-}` is not taken", "IMAP-31", ((b"a LOGIN {4-}\r\n", BAD),)),
    "negative-literal-size": ("no announcement", "IMAP-31", ((b"a LOGIN {-4}\r\n", BAD),)),
    "space-behind-an-announcement": ("no announcement", "IMAP-31", ((b"a LOGIN {4} \r\n", BAD),)),
    "space-inside-an-announcement": ("no announcement", "IMAP-31", ((b"a LOGIN { 4}\r\n", BAD),)),
    "unfinished-announcement": ("no announcement", "IMAP-31", ((b"a LOGIN {4\r\n", BAD),)),
    "two-pluses-in-an-announcement": ("no announcement", "IMAP-31", ((b"a LOGIN {4++} x\r\n", BAD),)),
    "argument-behind-an-announcement": ("no announcement", "IMAP-31", ((b"a LOGIN {4} pass\r\n", BAD),)),
    "enormous-literal-size": ("a size that no machine can count", "IMAP-31",
                              ((b"a LOGIN {99999999999999999999999999}\r\n", BAD),)),
    "empty-literal-as-user": ("an empty user", "IMAP-40 IMAP-31", ((b"a LOGIN {0+}\r\n pass\r\n", BAD),)),
    "literal-for-noop": ("read, and ignored", "IMAP-29", ((b"a NOOP {3}\r\n", GO),
                                                          (b"abc\r\n", b"a OK completed\r\n"))),
    "unwaited-literal-for-noop": ("read, and ignored", "IMAP-29 IMAP-27",
                                  ((b"a NOOP {9+}\r\nb LOGOUT\n\r\n", b"a OK completed\r\n"),)),
}  # fmt: skip
OLD_SEPARATOR = {"nginx": "1.22 takes any octet behind a literal for the space; 1.31.5 refuses it"}
DEVIATES = {
    "literal-touches-an-atom": OLD_SEPARATOR,
    "literal-touches-a-quoted-string": OLD_SEPARATOR,
    "enormous-literal-size": {"nginx": "1.22 lets the size overflow; 1.31.5 refuses it"},
}
for slug, (what, rules, refused) in REFUSED.items():
    case(
        f"imap/login/{slug}",
        what,
        rules=rules,
        block=IMAP,
        level=Level.OURS if slug == "empty-literal-as-user" else Level.VENDOR,
        deviates=DEVIATES.get(slug),
    )(dialogue(*refused))

OURS: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    "line-end-in-a-quoted-string": ("ends no argument but makes the line invalid", "IMAP-23",
                                    ((b'a LOGIN user "pass\r\n', BAD), (b"b LOGIN \"u\r\n",
                                                                        b"b BAD invalid command\r\n"))),
    "announcement-without-a-size": ("no announcement", "IMAP-31", ((b"a LOGIN {}\r\n", BAD),)),
    "nul-in-an-atom": ("makes the line invalid", "IMAP-21 SASL-94", ((b"a LOGIN us\0er pass\r\n", BAD),)),
    "nul-in-a-quoted-string": ("makes the line invalid", "IMAP-21 SASL-94", ((b'a LOGIN user "pa\0ss"\r\n', BAD),)),
    "escaped-nul": ("makes the line invalid", "IMAP-21 SASL-94", ((b'a LOGIN user "pa\\\0ss"\r\n', BAD),)),
    "nul-in-a-literal": ("is refused as part of a user name", "SASL-94",
                         ((b"a LOGIN {5}\r\n", GO), (b"us\0er pass\r\n", BAD))),
}  # fmt: skip
for slug, (what, rules, refused) in OURS.items():
    case(f"imap/login/{slug}", what, rules=rules, block=IMAP)(dialogue(*refused))

case(
    "imap/login/empty-literals",
    "an empty literal takes not one octet of what follows",
    rules="IMAP-31 IMAP-40",
    block=IMAP,
)(login(then=b"a LOGIN {4+}\r\nuser {0+}\r\n\r\n", wanted=Attempt(password=b"")))


@case("imap/login/announced-size-is-not-compared", "9999 octets may be announced", rules="IMAP-10 IMAP-26", block=IMAP)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(client, (b"a LOGIN {9999}\r\n", GO))


case(
    "imap/login/continuations-are-no-errors",
    "announcements and literals count in no limit, and neither do refused numbers of arguments",
    rules="IMAP-32 IMAP-76",
    block=Block("imap", "max_errors 1;"),
    directives="max_errors",
)(dialogue((b"a LOGIN {2}\r\n", GO), (b"\n\n {2}\r\n", GO), (b"\0\0 x\r\n", BAD)))
