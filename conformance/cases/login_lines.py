"""What IMAP and POP3 backends read of a login, octet for octet (proxy rules, 6 and 7)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.attempts import Turn, opened, talk, uncontacted
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.fakes.peer import Peer
from conformance.frames import FRAMES, b64
from conformance.rulebook import Level

__all__: list[str] = []

IMAP = Block("imap", "imap_auth plain login cram-md5 external;")
POP3 = Block("pop3")
GO = b"+ OK\r\n"


async def backend_reads(backend: Peer, protocol: str, user: bytes, password: bytes, tag: bytes = b"a") -> bytes:
    """Be the backend of a login of these values; return its last reply. Raises Mismatch."""
    if protocol == "imap":
        await talk(
            backend,
            (b"* OK ready\r\n", b"%s LOGIN {%d}\r\n" % (tag, len(user))),
            (b"+ go\r\n", b"%s {%d}\r\n" % (user, len(password))),
            (b"+ go\r\n", password + b"\r\n"),
        )
        last = tag + b" OK in\r\n"
    else:
        await talk(
            backend,
            (b"+OK ready\r\n", b"USER " + user + b"\r\n"),
            (b"+OK go\r\n", b"PASS " + password + b"\r\n"),
        )
        last = b"+OK in\r\n"
    await backend.send(last)
    return last


@dataclass(frozen=True, slots=True)
class Login:
    """How a client logs in, what the auth server adds, and what the backend must read."""

    turns: tuple[Turn, ...]
    last: bytes
    user: bytes = b"user"
    password: bytes = b"pass"
    tag: bytes = b"a"
    added: tuple[bytes, ...] = ()


def _logged_in(login: Login) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await talk(client, *login.turns)
        await client.send(login.last)
        await bench.admit(*login.added)
        backend = await bench.backend()
        last = await backend_reads(backend, bench.protocol, login.user, login.password, login.tag)
        await client.expect(last)
        await talk_through(client, backend)

    return script


async def talk_through(client: Peer, backend: Peer) -> None:
    """See that a relay has begun, in which nothing is left over. Raises Mismatch."""
    await client.send(b"to the backend\r\n")
    await backend.expect(b"to the backend\r\n")
    await backend.send(b"to the client\r\n")
    await client.expect(b"to the client\r\n")


def plain(user: bytes, password: bytes, tag: bytes = b"a") -> bytes:
    """AUTHENTICATE PLAIN with a response."""
    return tag + b" AUTHENTICATE PLAIN " + b64(b"\0" + user + b"\0" + password) + b"\r\n"


IMAP_LOGINS: dict[str, tuple[str, str, Login]] = {
    # slug: what, rules, login
    "atoms-become-literals": ("always two literals", "PROXY-62 PROXY-58", Login((), b"a LOGIN user pass\r\n")),
    "tag-of-the-client": ("used as it was written", "SASL-91 PROXY-62",
                          Login((), b"Tag-007.x_y LOGIN user pass\r\n", tag=b"Tag-007.x_y")),
    "tag-of-32-octets": ("used as it was written", "SASL-91 IMAP-16",
                         Login((), b"t" * 32 + b" login user pass\n", tag=b"t" * 32)),
    "quoted-strings-are-unquoted": ("the backslashes are gone", "PROXY-62",
                                    Login((), b'a LOGIN "u\\"x y" "p\\\\w\\"\\ z"\r\n', b'u"x y', b'p\\w" z')),
    "atoms-with-odd-octets": ("as they are", "PROXY-62", Login((), b'a LOGIN u"s\\{1}%\xe9 p*(\x7f)\xff\t\r\n',
                                                               b'u"s\\{1}%\xe9', b"p*(\x7f)\xff\t")),
    "empty-password": ("a literal of no octets", "PROXY-62 IMAP-40", Login((), b'a LOGIN user ""\r\n', password=b"")),
    "line-ends-in-literals": ("safe in a literal", "PROXY-62 SASL-94",
                              Login(((b"a LOGIN {14}\r\n", GO), (b"user\r\na LOGOUT {12}\r\n", GO)),
                                    b"\r\nb NOOP\r\n\r\n\r\n", b"user\r\na LOGOUT", b"\r\nb NOOP\r\n\r\n")),
    "unwaited-literals": ("the backend gets waited ones all the same", "PROXY-62 IMAP-27",
                          Login((), b"a LOGIN {4+}\r\nus\n} {3+}\r\np\n{\r\n", b"us\n}", b"p\n{")),
    "counts-are-octets": ("UTF-8 has more octets than letters", "PROXY-62",
                          Login((), "a LOGIN jürgen grüße\r\n".encode(), "jürgen".encode(), "grüße".encode())),
    "long-values": ("whole, with four digits of length", "PROXY-62 SASL-91",
                    Login(((b"a LOGIN {1200}\r\n", GO), (b"u" * 1200 + b" {2345}\r\n", GO)), b"p" * 2345 + b"\r\n",
                          b"u" * 1200, b"p" * 2345)),
    "authenticate-plain-becomes-login": ("with the tag of AUTHENTICATE", "PROXY-63 SASL-91 IMAP-51",
                                         Login((), plain(b"user", b"pass", b"T9"), tag=b"T9")),
    "authenticate-with-odd-octets": ("raw, line ends too", "PROXY-63 PROXY-62",
                                     Login((), plain(b'u"s\\er {2}\r\n', b"p w\n%\xff"), b'u"s\\er {2}\r\n',
                                           b"p w\n%\xff")),
    "authorization-identity": ("the backend never learns it", "PROXY-63 SASL-29",
                               Login((), b"a AUTHENTICATE PLAIN " + b64(b"adm\0user\0pass") + b"\r\n")),
    "authenticate-with-an-empty-user": ("a literal of no octets", "PROXY-63 SASL-30",
                                        Login((), plain(b"", b""), b"", b"")),
    "authenticate-login-becomes-login": ("the same lines", "PROXY-63 SASL-91",
                                         Login(((b"b AUTHENTICATE LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
                                                (b"dXNlcg==\r\n", b"+ UGFzc3dvcmQ6\r\n")), b"cGFzcw==\r\n", tag=b"b")),
    "values-of-the-auth-server": ("replace those of the client", "PROXY-7 SASL-90",
                                  Login((), b"a LOGIN user pass\r\n", b"box 7%20\\", b'"s"',
                                        added=(b"Auth-User: box 7%20\\", b'Auth-Pass: "s"'))),
    "user-of-the-auth-server": ("the password stays", "PROXY-7 SASL-71",
                                Login((), b"a LOGIN user pass\r\n", b"mapped@x", added=(b"Auth-User: mapped@x",))),
    "empty-values-of-the-auth-server": ("replace, too", "PROXY-7",
                                        Login((), b"a LOGIN user pass\r\n", b"", b"",
                                              added=(b"Auth-User:", b"Auth-Pass: "))),
    "external-with-the-password-of-the-auth-server": ("a LOGIN like any other", "PROXY-63 SASL-43",
                                                      Login((), b"a AUTHENTICATE EXTERNAL dXNlcg==\r\n",
                                                            password=b"master", added=(b"Auth-Pass: master",))),
}  # fmt: skip
for slug, (what, rules, login) in IMAP_LOGINS.items():
    case(f"imap/backend-login/{slug}", what, rules=rules, block=IMAP, level=Level.VENDOR)(_logged_in(login))


def auth(user: bytes, password: bytes) -> bytes:
    """AUTH PLAIN with a response."""
    return b"AUTH PLAIN " + b64(b"\0" + user + b"\0" + password) + b"\r\n"


NAMED = (b"USER user\r\n", b"+OK\r\n")
POP3_LOGINS: dict[str, tuple[str, str, Login]] = {
    "user-and-pass": ("the same words", "PROXY-53 PROXY-54 PROXY-52 POP3-55", Login((NAMED,), b"PASS pass\r\n")),
    "spaces": ("those inside and behind stay, those before go", "PROXY-56 POP3-13",
               Login(((b"USER   us  er \r\n", b"+OK\r\n"),), b"pass  p a s s  \n", b"us  er ", b"p a s s  ")),
    "odd-octets": ("raw", "PROXY-56", Login(((b'USER "u\\s"%\xe9\t\r\n', b"+OK\r\n"),), b"PASS \x01{3}\x7f\xff\r\n",
                                            b'"u\\s"%\xe9\t', b"\x01{3}\x7f\xff")),
    "auth-plain-becomes-user-and-pass": ("never AUTH", "PROXY-56 SASL-92 POP3-47",
                                         Login((), auth(b"us er", b"p w "), b"us er", b"p w ")),
    "auth-with-empty-values": ("a space and nothing", "PROXY-56 SASL-30", Login((), auth(b"", b""), b"", b"")),
    "auth-with-spaces-in-front": ("belong to the value here", "PROXY-56",
                                  Login((), auth(b" user", b" pass"), b" user", b" pass")),
    "auth-with-an-authorization-identity": ("the backend never learns it", "PROXY-56 SASL-29",
                                            Login((), b"AUTH PLAIN " + b64(b"adm\0user\0pass") + b"\r\n")),
    "auth-login-becomes-user-and-pass": ("never AUTH", "PROXY-56 SASL-92",
                                         Login(((b"AUTH LOGIN\r\n", b"+ VXNlcm5hbWU6\r\n"),
                                                (b"dXNlcg==\r\n", b"+ UGFzc3dvcmQ6\r\n")), b"cGFzcw==\r\n")),
    "values-of-the-auth-server": ("replace those of the client", "PROXY-7 SASL-90",
                                  Login((NAMED,), b"PASS pass\r\n", b"box 7%20", b"s e",
                                        added=(b"Auth-User: box 7%20", b"Auth-Pass: s e"))),
    "empty-password-of-the-auth-server": ("replaces, too", "PROXY-7",
                                          Login((NAMED,), b"PASS pass\r\n", password=b"", added=(b"Auth-Pass:",))),
}  # fmt: skip
for slug, (what, rules, login) in POP3_LOGINS.items():
    case(f"pop3/backend-login/{slug}", what, rules=rules, block=POP3, level=Level.VENDOR)(_logged_in(login))


# What would become a command: the backend must not even be contacted.


def _never_there(line: bytes, reply: bytes, added: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(line)
        async with uncontacted(bench):
            await bench.admit(added)
            await client.expect(reply)
            await client.expect_eof()

    return script


ERRORS = {"imap": b"* BAD internal server error\r\n", "pop3": b"-ERR internal server error\r\n"}
INJECTED = {"nul-in-the-user": b"Auth-User: us\0er", "nul-in-the-password": b"Auth-Pass: pa\0ss"}
for kind in ERRORS:
    for slug, added in INJECTED.items():
        start = auth(b"user", b"pass") if kind == "pop3" else plain(b"user", b"pass")
        case(
            f"{kind}/backend-login/{slug}-of-the-auth-server",
            "internal error before the backend is contacted",
            rules="AUTH-99 PROXY-56" if kind == "pop3" else "AUTH-99",
            block=FRAMES[kind].words.block,
            limit=8,
        )(_never_there(start, ERRORS[kind], added))


# Strictly half-duplex.


@case(
    "imap/backend-login/waits-for-each-answer",
    "no line is sent before the answer to the one before it",
    rules="PROXY-1 IMAP-90",
    block=Block("imap"),
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"a LOGIN user pass\r\n")
    await bench.admit()
    backend = await bench.backend()
    for reply, line in (
        (b"* OK ready\r\n", b"a LOGIN {4}\r\n"),
        (b"+ go\r\n", b"user {4}\r\n"),
        (b"+ go\r\n", b"pass\r\n"),
    ):
        await backend.send(reply[:-1])
        await talk(await opened(bench), (b"n NOOP\r\n", b"n OK completed\r\n"))
        await backend.expect_nothing()
        await backend.send(reply[-1:])
        await backend.expect(line)


@case(
    "pop3/backend-login/waits-for-each-answer",
    "no line is sent before the answer to the one before it",
    rules="PROXY-1",
    block=POP3,
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(auth(b"user", b"pass"))
    await bench.admit()
    backend = await bench.backend()
    for reply, line in ((b"+OK ready\r\n", b"USER user\r\n"), (b"+OK go\r\n", b"PASS pass\r\n")):
        await backend.send(reply[:-1])
        await talk(await opened(bench), (b"NOOP\r\n", b"+OK\r\n"))
        await backend.expect_nothing()
        await backend.send(reply[-1:])
        await backend.expect(line)


# Hand-over.

HANDED: dict[str, dict[str, tuple[str, str, bytes]]] = {
    "imap": {
        "text-of-the-backend": ("unchanged", "PROXY-65 IMAP-94", b"a OK [CAPABILITY IMAP4rev1 IDLE] w\xe9lcome \r\n"),
        "untagged-line-before-it": ("handed over, too", "PROXY-65 IMAP-94",
                                    b"* CAPABILITY IMAP4rev1 X\r\na OK done\r\n"),
        "untagged-lines-before-it": ("handed over, too", "PROXY-64 IMAP-93 IMAP-94",
                                     b"* CAPABILITY X\r\n* 3 EXISTS\r\n* b OK no\r\na OK done\r\n"),
        "more-behind-it": ("handed over, too", "PROXY-65 IMAP-94", b"a OK done\r\n* BYE soon\r\n"),
        "ok-and-no-text": ("the octet behind OK is not checked", "IMAP-94 PROXY-64", b"a OK\r\n"),
    },
    "pop3": {
        "text-of-the-backend": ("unchanged", "PROXY-57 POP3-56", b"+OK w\xe9lcome, 3 messages \r\n"),
        "ok-and-no-text": ("unchanged", "PROXY-57 POP3-56", b"+OK\r\n"),
        "more-behind-it": ("handed over, too", "PROXY-57 POP3-56", b"+OK in\r\n+OK more\r\n"),
    },
}  # fmt: skip


def _handed(reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(plain(b"user", b"pass") if bench.protocol == "imap" else auth(b"user", b"pass"))
        await bench.admit()
        backend = await bench.backend()
        await backend.send(b"* OK\r\n" if bench.protocol == "imap" else b"+OK\r\n")
        await backend.line()
        if bench.protocol == "imap":
            await backend.send(b"+ go\r\n")
            await backend.line()
            await backend.send(b"+ go\r\n")
        else:
            await backend.send(b"+OK\r\n")
        await backend.line()
        await backend.send(reply)
        await client.expect(reply)
        await talk_through(client, backend)

    return script


for kind, replies in HANDED.items():
    for slug, (what, rules, reply) in replies.items():
        case(
            f"{kind}/hand-over/{slug}",
            what,
            rules=rules,
            block=FRAMES[kind].words.block,
            level=Level.OURS if slug == "untagged-lines-before-it" else Level.VENDOR,
            deviates={"nginx": "1.22 takes no untagged line before the last reply; 1.31.5 takes one"}
            if slug == "untagged-line-before-it"
            else None,
        )(_handed(reply))
