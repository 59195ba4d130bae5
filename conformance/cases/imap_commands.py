"""IMAP commands before the login: replies, tags, spaces, line ends, and lines that are none (imap rules, 2 to 7)."""

from __future__ import annotations

from conformance.attempts import Turn, alive, dialogue, opened, talk
from conformance.bench import Bench
from conformance.case import Block, case
from conformance.rulebook import Level

__all__: list[str] = []

IMAP = Block("imap")
BAD = b"a BAD invalid command\r\n"
UNTAGGED = b"* BAD invalid command\r\n"
OK = b"a OK completed\r\n"
DEFAULT = b"* CAPABILITY IMAP4 IMAP4rev1 UIDPLUS AUTH=PLAIN\r\n"


@case(
    "imap/greeting/octets-before-it-are-processed-after-it",
    "a client that talks at once reads the greeting first, then its replies",
    rules="IMAP-2 IMAP-1 CORE-72",
    block=IMAP,
)
async def _(bench: Bench) -> None:
    client = await opened(bench, first=b"a NOOP\r\nb CAPABILITY\r\n")
    await client.expect(OK + DEFAULT + b"b OK completed\r\n")
    await alive(bench, client)


# Commands and their replies; the connection is kept.

COMMANDS: dict[str, tuple[str, str, Turn]] = {
    # slug: what, rules, the turn
    "capability": ("the words, then the methods", "IMAP-36 IMAP-37 IMAP-33", (b"a CAPABILITY\r\n", DEFAULT + OK)),
    "capability-in-lower-case": ("command words know no case", "IMAP-19", (b"a capability\r\n", DEFAULT + OK)),
    "noop-in-mixed-case": ("command words know no case, tags do", "IMAP-19 IMAP-15",
                           (b"aB nOoP\r\n", b"aB OK completed\r\n")),
    "capability-with-arguments": ("up to three are ignored", "IMAP-20", (b'a CAPABILITY x "y z" {1+}\r\n\n\r\n',
                                                                         DEFAULT + OK)),
    "noop-with-three-arguments": ("up to three are ignored", "IMAP-20", (b"a NOOP 1 2 3\r\n", OK)),
    "noop-with-four-arguments": ("the fourth makes the line invalid", "IMAP-20", (b"a NOOP 1 2 3 4\r\n", BAD)),
    "starttls-where-it-is-off": ("refused", "IMAP-33", (b"a STARTTLS\r\n", BAD)),
    "login-without-arguments": ("refused", "IMAP-40 IMAP-33", (b"a LOGIN\r\n", BAD)),
    "login-with-one-argument": ("refused", "IMAP-40 IMAP-33", (b"a LOGIN user\r\n", BAD)),
    "login-with-three-arguments": ("refused", "IMAP-40 IMAP-33", (b"a LOGIN user pass more\r\n", BAD)),
    "login-with-four-arguments": ("refused", "IMAP-20", (b"a LOGIN user pass more yet\r\n", BAD)),
    "login-with-an-empty-user": ("refused", "IMAP-40 IMAP-33", (b'a LOGIN "" pass\r\n', BAD)),
    "authenticate-without-mechanism": ("refused", "IMAP-33", (b"a AUTHENTICATE\r\n", BAD)),
    "select-before-login": ("unknown here", "IMAP-33", (b"a SELECT inbox\r\n", BAD)),
    "id-before-login": ("unknown here", "IMAP-33", (b'a ID ("name" "x")\r\n', BAD)),
    "enable-before-login": ("unknown here", "IMAP-33", (b"a ENABLE UTF8=ACCEPT\r\n", BAD)),
    "prefix-of-a-command": ("unknown", "IMAP-19", (b"a NOO\r\n", BAD)),
    "command-and-more-letters": ("unknown", "IMAP-19", (b"a NOOPS\r\n", BAD)),
    "digit-in-the-command": ("only letters are a command", "IMAP-19", (b"a N00P\r\n", BAD)),
    "tab-behind-the-command": ("no separator but the space", "IMAP-19 IMAP-18", (b"a NOOP\tx\r\n", BAD)),
    "nul-in-the-command": ("only letters are a command", "IMAP-19", (b"a NO\0P\r\n", BAD)),
    "pop3-command": ("another protocol", "IMAP-15", (b"USER joe\r\n", b"USER BAD invalid command\r\n")),
}  # fmt: skip
for slug, (what, rules, turn) in COMMANDS.items():
    case(f"imap/command/{slug}", what, rules=rules, block=IMAP)(dialogue(turn))

for slug, octets in {
    "logout": b"a LOGOUT\r\n",
    "logout-with-arguments": b"a logout 1 2 3\r\n",
    "logout-ends-a-batch": b"a LOGOUT\r\nb LOGIN user pass\r\nc NOOP\r\n",
}.items():
    case(
        f"imap/command/{slug}",
        "BYE and OK, then the end; what is behind it is dropped",
        rules="IMAP-33 IMAP-11 IMAP-20",
        block=IMAP,
    )(dialogue((octets, b"* BYE\r\n" + OK), closed=True))


# Tags.

TAGS: dict[str, tuple[str, bytes, bytes, Level]] = {
    # slug: what, the line, its reply, whose rule
    "letters-digits-and-marks": ("taken, and used as written", b"Az09-._ NOOP\r\n", b"Az09-._ OK completed\r\n",
                                 Level.VENDOR),
    "thirty-two-octets": ("the longest", b"t" * 32 + b" NOOP\r\n", b"t" * 32 + b" OK completed\r\n", Level.VENDOR),
    "thirty-three-octets": ("too long", b"t" * 33 + b" NOOP\r\n", UNTAGGED, Level.VENDOR),
    "all-that-the-rfc-allows": ("taken", b"!#$&',/:;<=>?@[]^`|}~ NOOP\r\n",
                                b"!#$&',/:;<=>?@[]^`|}~ OK completed\r\n", Level.OURS),
    "empty": ("no tag, so the line is invalid", b" NOOP\r\n", UNTAGGED, Level.OURS),
    "asterisk": ("no tag", b"* NOOP\r\n", UNTAGGED, Level.VENDOR),
    "plus": ("no tag", b"+ NOOP\r\n", UNTAGGED, Level.VENDOR),
    "plus-inside": ("no tag", b"a+b NOOP\r\n", UNTAGGED, Level.VENDOR),
    "percent": ("no tag", b"a% NOOP\r\n", UNTAGGED, Level.VENDOR),
    "quoted": ("no tag", b'"a" NOOP\r\n', UNTAGGED, Level.VENDOR),
    "backslash": ("no tag", b"a\\b NOOP\r\n", UNTAGGED, Level.VENDOR),
    "parenthesis": ("no tag", b"(a) NOOP\r\n", UNTAGGED, Level.VENDOR),
    "literal": ("no tag", b"{1} NOOP\r\n", UNTAGGED, Level.VENDOR),
    "tab": ("no tag", b"a\tNOOP\r\n", UNTAGGED, Level.VENDOR),
    "nul": ("no tag", b"a\0 NOOP\r\n", UNTAGGED, Level.VENDOR),
    "high-octet": ("no tag", b"\xe9 NOOP\r\n", UNTAGGED, Level.VENDOR),
    "alone-in-the-line": ("no space, so no tag", b"a\r\n", UNTAGGED, Level.VENDOR),
    "and-a-space": ("a tag without a command", b"a \r\n", BAD, Level.VENDOR),
    "and-a-digit": ("known although the command is none", b"a 1\r\n", BAD, Level.VENDOR),
    "none-in-an-empty-line": ("invalid", b"\r\n", UNTAGGED, Level.VENDOR),
    "none-in-a-bare-line-feed": ("invalid", b"\n", UNTAGGED, Level.VENDOR),
}  # fmt: skip
for slug, (what, line, reply, level) in TAGS.items():
    rules = "IMAP-15 IMAP-16 IMAP-17" if level is Level.VENDOR else "IMAP-16 IMAP-17"
    case(f"imap/tag/{slug}", what, rules=rules, block=IMAP, level=level)(dialogue((line, reply)))


@case("imap/tag/forgotten-after-a-command", "each command has its own", rules="IMAP-15", block=IMAP)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(
        client,
        (b"first NOOP\r\n", b"first OK completed\r\n"),
        (b"\r\n", UNTAGGED),
        (b"second XYZZY\r\n", b"second BAD invalid command\r\n"),
        (b"*\r\n", UNTAGGED),
    )
    await alive(bench, client)


# Spaces, line ends, pieces.

FRAMES: dict[str, tuple[str, str, Turn]] = {
    "spaces-before-the-command": ("any number", "IMAP-18", (b"a    NOOP\r\n", OK)),
    "spaces-at-the-end": ("any number", "IMAP-18", (b"a NOOP   \r\n", OK)),
    "bare-line-feed": ("ends a command", "IMAP-14", (b"a NOOP\n", OK)),
    "bare-line-feed-behind-an-argument": ("ends a command", "IMAP-14", (b"a NOOP x\n", OK)),
    "carriage-return-inside": ("makes the line invalid", "IMAP-14 IMAP-24", (b"a NOOP\rx\r\n", BAD)),
    "carriage-return-twice": ("makes the line invalid", "IMAP-14 IMAP-24", (b"a NOOP\r\r\n", BAD)),
    "carriage-return-in-an-argument": ("makes the line invalid", "IMAP-14 IMAP-24", (b"a LOGIN u\rx p\r\n", BAD)),
    "carriage-return-in-the-tag": ("makes the line invalid", "IMAP-14 IMAP-24", (b"a\rb NOOP\r\n", UNTAGGED)),
    "batch-with-an-invalid-line": ("the next line counts again", "IMAP-24 IMAP-11",
                                   (b"a NOOP\r\na FOO bar\r\na NOOP\r\n", OK + BAD + OK)),
    "batch-of-every-line-end": ("in their order", "IMAP-11 IMAP-14",
                                (b"b NOOP\nc NOOP\r\nd CAPABILITY\ne NOOP\r\n",
                                 b"b OK completed\r\nc OK completed\r\n" + DEFAULT
                                 + b"d OK completed\r\ne OK completed\r\n")),
    "one-reject-for-a-long-invalid-line": ("whatever is in it", "IMAP-24",
                                           (b'a XYZZY "a LOGIN" {3} \0 \r b LOGIN u p\r\n', BAD)),
}  # fmt: skip
for slug, (what, rules, turn) in FRAMES.items():
    case(f"imap/line/{slug}", what, rules=rules, block=IMAP)(dialogue(turn))


@case("imap/line/octet-by-octet", "pieces do not matter", rules="IMAP-14", block=IMAP, level=Level.VENDOR)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"a  CAPABILITY \r\nb x\r\n\r\n", pieces=1)
    await client.expect(DEFAULT + OK + b"b BAD invalid command\r\n" + UNTAGGED)
    await alive(bench, client)


# An invalid line that announces a literal which is not waited for: its octets must never be read as commands.

ANNOUNCED: dict[str, tuple[str, bytes, bytes, bool]] = {
    # slug: what, what is sent, the reply, whether it is the end
    "unwaited-literal-of-an-unknown-command": ("the end", b"a FOO {10+}\r\nb NOOP\r\n\r\n", BAD, True),
    "unwaited-literal-before-a-bare-line-feed": ("the end", b"a FOO {10+}\nb NOOP\r\n", BAD, True),
    "unwaited-literal-as-fourth-argument": ("the end", b"a LOGIN a b c {8+}\r\nb NOOP\r\n", BAD, True),
    "unwaited-literal-without-a-tag": ("the end", b"* LOGIN {4+}\r\nuser", UNTAGGED, True),
    "waited-literal-of-an-unknown-command": ("no end, nothing of it was sent", b"a FOO {10}\r\n", BAD, False),
    "waited-literal-as-fourth-argument": ("no end, nothing of it was sent", b"a LOGIN a b c {8}\r\n", BAD, False),
    "brace-behind-something-else": ("no end", b"a FOO 10}\r\n", BAD, False),
    "line-too-short-for-an-announcement": ("no end, `{1+}` alone is longer", b"x+}\r\n", UNTAGGED, False),
    "shortest-line-with-an-announcement": ("the end", b"x{1+}\r\n", UNTAGGED, True),
    "plus-and-brace-and-more": ("no end", b"a FOO {10+} \r\n", BAD, False),
}
for slug, (what, octets, reply, end) in ANNOUNCED.items():
    case(f"imap/invalid/{slug}", what, rules="IMAP-25 IMAP-24", block=IMAP)(dialogue((octets, reply), closed=end))
