"""POP3 commands before the login, in each state, and lines that are none (pop3 rules, 2 to 7)."""

from __future__ import annotations

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Block, case
from conformance.rulebook import Level

__all__: list[str] = []

POP3 = Block("pop3")
ERR = b"-ERR invalid command\r\n"
OK = b"+OK\r\n"
CAPA = b"+OK Capability list follows\r\nTOP\r\nUSER\r\nUIDL\r\nSASL PLAIN LOGIN\r\n.\r\n"
METHODS = b"+OK methods supported:\r\nPLAIN\r\nLOGIN\r\n.\r\n"
NAMED = (b"USER user\r\n", OK)


@case(
    "pop3/greeting/octets-before-it-are-processed-after-it",
    "a client that talks at once reads the greeting first, then its replies",
    rules="POP3-3 POP3-1 CORE-72",
    block=POP3,
    level=Level.VENDOR,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(b"NOOP\r\nCAPA\r\n")
    await client.expect(b"+OK POP3 ready\r\n" + OK + CAPA)
    await alive(bench, client)


# State START, and lines of all kinds.

STARTS: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    # slug: what, rules, turns
    "capa": ("the default list", "POP3-27 POP3-20", ((b"CAPA\r\n", CAPA),)),
    "capa-in-lower-case": ("command words know no case", "POP3-11", ((b"capa\r\n", CAPA),)),
    "noop-in-mixed-case": ("command words know no case", "POP3-11", ((b"nOOp\r\n", OK),)),
    "capa-with-three-arguments": ("ignored", "POP3-12", ((b"CAPA 1 2 3\r\n", CAPA),)),
    "noop-with-four-arguments": ("the fourth makes the line invalid", "POP3-12", ((b"NOOP 1 2 3 4\r\n", ERR),)),
    "auth-with-four-arguments": ("the fourth makes the line invalid", "POP3-12", ((b"AUTH PLAIN 2 3 4\r\n", ERR),)),
    "auth-without-arguments": ("the methods", "POP3-40 POP3-20", ((b"AUTH\r\n", METHODS),)),
    "auth-and-spaces": ("the methods", "POP3-40 POP3-12", ((b"AUTH   \r\n", METHODS),)),
    "user-without-a-name": ("refused", "POP3-20 POP3-13", ((b"USER\r\n", ERR), (b"USER \r\n", ERR),
                                                           (b"PASS x\r\n", ERR))),
    "pass-before-user": ("refused", "POP3-20", ((b"PASS pass\r\n", ERR), (b"PASS\r\n", ERR))),
    "stls-where-it-is-off": ("refused", "POP3-20", ((b"STLS\r\n", ERR),)),
    "commands-of-a-maildrop": ("unknown before the login", "POP3-20",
                               ((b"STAT\r\n", ERR), (b"LIST\r\n", ERR), (b"TOP 1 0\r\n", ERR), (b"UIDL\r\n", ERR))),
    "word-of-five-letters": ("four letters make a command", "POP3-11", ((b"NOOPS\r\n", ERR),)),
    "word-of-three-letters": ("four letters make a command", "POP3-11", ((b"NOO\r\n", ERR),)),
    "word-of-an-imap-client": ("unknown", "POP3-11", ((b"a LOGIN user pass\r\n", ERR),)),
    "digit-in-the-word": ("letters make a command", "POP3-11", ((b"N00P\r\n", ERR),)),
    "nul-in-the-word": ("letters make a command", "POP3-11", ((b"NO\0P\r\n", ERR),)),
    "nul-behind-the-word": ("ends no word", "POP3-11", ((b"NOOP\0\r\n", ERR),)),
    "tab-behind-the-word": ("no separator", "POP3-11 POP3-12", ((b"NOOP\tx\r\n", ERR),)),
    "high-octets": ("letters make a command", "POP3-11", ((b"N\xd6\xd6P\r\n", ERR),)),
    "leading-space": ("a command stands at the very start", "POP3-11", ((b" NOOP\r\n", ERR),)),
    "empty-line": ("invalid", "POP3-20 POP3-15", ((b"\r\n", ERR), (b"\n", ERR))),
    "bare-line-feed": ("ends a line", "POP3-10", ((b"NOOP\n", OK), (b"NOOP x\n", OK))),
    "carriage-return-inside": ("makes the line invalid", "POP3-10 POP3-15", ((b"NOOP\rx\r\n", ERR),)),
    "carriage-return-twice": ("makes the line invalid", "POP3-10 POP3-15", ((b"NOOP\r\r\n", ERR),)),
    "carriage-return-in-an-argument": ("makes the line invalid", "POP3-10 POP3-15", ((b"NOOP a\rb\r\n", ERR),)),
    "batch-with-an-invalid-line": ("each is answered, in its turn", "POP3-15 POP3-17",
                                   ((b"NOOP\r\nXYZZ\r\nCAPA\r\nUSER\r\nNOOP\n", OK + ERR + CAPA + ERR + OK),)),
    "one-reject-for-an-invalid-line": ("whatever is in it", "POP3-15", ((b"XYZZ USER a\rPASS b\r QUIT\r\n", ERR),)),
}  # fmt: skip
for slug, (what, rules, turns) in STARTS.items():
    case(f"pop3/command/{slug}", what, rules=rules, block=POP3, level=Level.VENDOR)(dialogue(*turns))

for slug, turns in {
    "quit": ((b"QUIT\r\n", OK),),
    "quit-with-arguments": ((b"quit now please !\r\n", OK),),
    "quit-after-user": (NAMED, (b"QUIT\r\n", OK)),
    "quit-ends-a-batch": ((b"QUIT\r\nUSER user\r\nPASS pass\r\n", OK),),
}.items():
    case(
        f"pop3/command/{slug}",
        "OK, then the end; what is behind it is dropped",
        rules="POP3-20 POP3-31 POP3-12",
        block=POP3,
        level=Level.VENDOR,
    )(dialogue(*turns, closed=True))


@case("pop3/command/octet-by-octet", "pieces do not matter", rules="POP3-10", block=POP3)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"CAPA  x \r\n\r\nAUTH\n", pieces=1)
    await client.expect(CAPA + ERR + METHODS)
    await alive(bench, client)


# State USER: what keeps the name, and what loses it.

KEEPING: dict[str, Turn] = {
    "noop": (b"NOOP\r\n", OK),
    "noop-with-arguments": (b"NOOP a b c\r\n", OK),
    "capa": (b"CAPA\r\n", CAPA),
}
for slug, turn in KEEPING.items():
    case(f"pop3/user/kept-over-{slug}", "the name is still known", rules="POP3-31", block=POP3, level=Level.VENDOR)(
        login(NAMED, turn, turn, then=b"PASS pass\r\n", wanted=Attempt())
    )

LOSING: dict[str, tuple[str, Turn]] = {
    "second-user": ("POP3-32", (b"USER other\r\n", ERR)),
    "auth": ("POP3-31", (b"AUTH\r\n", ERR)),
    "auth-with-a-response": ("POP3-31", (b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n", ERR)),
    "stls": ("POP3-31", (b"STLS\r\n", ERR)),
    "pass-without-a-password": ("POP3-31", (b"PASS\r\n", ERR)),
    "pass-and-a-space": ("POP3-31", (b"PASS \r\n", ERR)),
    "unknown-command": ("POP3-15", (b"XYZZ\r\n", ERR)),
    "empty-line": ("POP3-15", (b"\r\n", ERR)),
    "fourth-argument": ("POP3-15", (b"NOOP 1 2 3 4\r\n", ERR)),
}
for slug, (rule, turn) in LOSING.items():
    case(
        f"pop3/user/lost-by-{slug}",
        "refused, and PASS is refused then; a new USER works",
        rules=f"{rule} POP3-31 POP3-20",
        block=POP3,
        level=Level.VENDOR,
    )(login((b"USER one\r\n", OK), turn, (b"PASS pass\r\n", ERR), NAMED, then=b"PASS pass\r\n", wanted=Attempt()))


# USER and PASS: what is read of them.

LOGINS: dict[str, tuple[str, str, bytes, bytes, Attempt]] = {
    # slug: what, rules, the two lines, the attempt
    "plain-words": ("read", "POP3-34 SASL-28", b"USER user\r\n", b"PASS pass\r\n", Attempt()),
    "lower-case": ("command words know no case", "POP3-11", b"user User\r\n", b"pass pASS\r\n",
                   Attempt(b"User", b"pASS")),
    "spaces-inside-and-behind": ("belong to the value, those before do not", "POP3-13",
                                 b"USER   us  er \r\n", b"PASS   p a s s  \r\n",
                                 Attempt(b"us%20%20er%20", b"p%20a%20s%20s%20%20")),
    "many-words": ("all one value", "POP3-13", b"USER a b c d e f\r\n", b"PASS 1 2 3 4 5 6\r\n",
                   Attempt(b"a%20b%20c%20d%20e%20f", b"1%202%203%204%205%206")),
    "bare-line-feeds": ("end the lines", "POP3-10", b"USER user\n", b"PASS pass\n", Attempt()),
    "quotes-and-backslashes": ("data", "POP3-14", b'USER "us\\er"\r\n', b'PASS {4}"\\\r\n',
                               Attempt(b'"us\\er"', b'{4}"\\')),
    "control-and-high-octets": ("data, percent-encoded where they must be", "POP3-14 SASL-60",
                                b"USER us\x01\t\xe9\r\n", b"PASS p\x1f\x7f\xff\r\n",
                                Attempt(b"us%01%09\xe9", b"p%1F\x7f\xff")),
    "percents": ("encoded", "POP3-35 SASL-60", b"USER us\xe9% r\r\n", b"PASS %41%\r\n",
                 Attempt(b"us\xe9%25%20r", b"%2541%25")),
    "password-like-a-command": ("data", "POP3-13", b"USER QUIT\r\n", b"PASS USER x\r\n", Attempt(b"QUIT", b"USER%20x")),
}  # fmt: skip
for slug, (what, rules, user_line, pass_line, attempt) in LOGINS.items():
    case(f"pop3/login/{slug}", what, rules=rules, block=POP3, level=Level.VENDOR)(
        login((user_line, OK), then=pass_line, wanted=attempt)
    )
case(
    "pop3/login/works-where-plain-is-not-configured",
    "USER and PASS need no pop3_auth",
    rules="POP3-34 SASL-2",
    block=Block("pop3", "pop3_auth cram-md5;"),
    directives="pop3_auth",
)(login(NAMED, then=b"PASS pass\r\n", wanted=Attempt()))
case(
    "pop3/login/both-lines-at-once",
    "each is answered",
    rules="POP3-17 POP3-30",
    block=POP3,
    level=Level.VENDOR,
)(login((b"USER user\r\nPASS pass\r\n", OK), then=b"", wanted=Attempt()))
case(
    "pop3/login/octet-by-octet",
    "pieces do not matter",
    rules="POP3-13 POP3-10",
    block=POP3,
    level=Level.VENDOR,
)(login((b"USER us er\r\n", OK), then=b"PASS  p s \r\n", pieces=1, wanted=Attempt(b"us%20er", b"p%20s%20")))
case(
    "pop3/login/nul-in-the-name",
    "refused, and the state is START",
    rules="POP3-30 SASL-94",
    block=POP3,
)(dialogue((b"USER us\0er\r\n", ERR), (b"PASS pass\r\n", ERR)))
case(
    "pop3/login/nul-in-the-password",
    "refused, and the name is lost",
    rules="POP3-31 SASL-94",
    block=POP3,
)(dialogue(NAMED, (b"PASS pa\0ss\r\n", ERR), (b"PASS pass\r\n", ERR)))
case(
    "pop3/login/carriage-return-in-the-password",
    "makes the line invalid",
    rules="POP3-10 POP3-15",
    block=POP3,
)(dialogue(NAMED, (b"PASS pa\rss\r\n", ERR), (b"PASS pass\r\n", ERR)))


@case("pop3/login/user-alone-asks-nobody", "the auth server is asked when the password is there", rules="POP3-30",
      block=POP3, level=Level.VENDOR)  # fmt: skip
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(client, NAMED)
    await alive(bench, client)


@case("pop3/login/refused-password-leaves-start", "after a refusal PASS alone is refused", rules="POP3-33", block=POP3)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await talk(client, NAMED)
    await client.send(b"PASS pass\r\n")
    request = await bench.request()
    await request.answer("Auth-Status: again", "Auth-Wait: 1")
    await client.expect(b"-ERR again\r\n")
    await talk(client, (b"PASS pass\r\n", ERR), (b"USER other\r\n", OK))
    await client.send(b"PASS word\r\n")
    request = await check_attempt(bench, client, Attempt(b"other", b"word"))
    bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")
