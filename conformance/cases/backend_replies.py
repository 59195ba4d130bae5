"""How replies of a backend are read: in pieces, with more behind them, too long (proxy rules, section 4)."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.cases.backend_login import LOGINS, UNTAGGED, login_block, login_until
from conformance.dialogues import PROTOCOLS
from conformance.fakes.peer import Peer
from conformance.rulebook import Level

__all__: list[str] = []

BUFFER = 512
FINAL = {"smtp": b"235 2.0.0 OK\r\n", "imap": b"", "pop3": b""}
"""What the client reads at the end, if not the backend's last reply."""


async def finish(bench: Bench, client: Peer, backend: Peer, step: str, reply: bytes) -> None:
    """See the login go on from this step, whose reply was sent, to its end and into the relay."""
    steps = LOGINS[bench.protocol]
    names = [known.name for known in steps]
    for known in steps[names.index(step) + 1 :]:
        await backend.until(b"\n" if known.sent.endswith(b"\n") else b"")
        await backend.send(reply := known.reply)
    await client.expect(FINAL[bench.protocol] or reply)
    await client.send(b"relayed\r\n")  # a refusal that was passed on would look the same until here
    await backend.expect(b"relayed\r\n")


# Complete replies of each step; short, since each cut costs a login.

REPLIES: dict[str, dict[str, bytes]] = {
    "smtp": {
        "greeting": b"220-\r\n220 b\r\n",
        "hello": b"250-a\r\n250 b\r\n",
        "xclient": b"220-a\r\n220 b\r\n",
        "client-hello": b"250-a\r\n250-\r\n250 b\r\n",
        "auth": b"235-a\r\n235 b\r\n",
    },
    "imap": {
        "greeting": b"* OK hi\r\n",
        "login": b"+ go\r\n",
        "user": b"+ go\r\n",
        "password": b"a OK in\r\n",
    },
    "pop3": {"greeting": b"+OK <1@b>\r\n", "user": b"+OKAY\r\n", "password": b"+OK in\r\n"},
}


def _cut(step: str, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        for at in range(1, len(reply)):
            client, backend = await login_until(bench, bench.protocol, step)
            await backend.send(reply[:at])
            await backend.send(reply[at:])
            await finish(bench, client, backend, step, reply)
            await client.close()
            await backend.expect_eof()

    return script


def _octets(kind: str) -> Script:
    async def script(bench: Bench) -> None:
        steps = LOGINS[kind]
        client, backend = await login_until(bench, kind, "greeting")
        reply = REPLIES[kind]["greeting"]
        await backend.send(reply, pieces=1)
        for step in steps[1:]:
            await backend.until(b"\n")
            reply = REPLIES[kind][step.name]
            await backend.send(reply, pieces=1)
        await client.expect(FINAL[kind] or reply)

    return script


for kind, replies in REPLIES.items():
    case(
        f"{kind}/backend-reply/one-octet-at-a-time",
        "every reply of a login in pieces of one octet",
        rules="PROXY-25 PROXY-24",
        block=login_block(kind),
        level=Level.VENDOR,
    )(_octets(kind))
    for step_name, reply in replies.items():
        case(
            f"{kind}/backend-reply/{step_name}-cut-anywhere",
            "a reply in two pieces, cut behind each of its octets, is one reply",
            rules="PROXY-25 PROXY-24",
            block=login_block(kind),
            level=Level.VENDOR,
            limit=60,  # it is many logins, one after the other
        )(_cut(step_name, reply))


# Other replies with which a login goes on.

FINE: dict[str, dict[str, tuple[str, bytes, Level]]] = {
    # kind: slug: step, reply, whose rule
    "smtp": {
        "three-digits-are-compared": ("greeting", b"220x hi\r\n", Level.VENDOR),
        "xclient-may-be-250": ("xclient", b"250 ok\r\n", Level.VENDOR),
        "line-feed-does-not-end-it": ("hello", b"250 a\n550 b\r\n", Level.VENDOR),
        "shortest": ("hello", b"250 \r\n", Level.VENDOR),
        "code-alone": ("hello", b"250\r\n", Level.VENDOR),
        "high-octets": ("greeting", b"220 \xe9\xff\r\n", Level.VENDOR),
        "more-behind-it-is-dropped": ("hello", b"250 ok\r\n250 early\r\n", Level.VENDOR),
    },
    "imap": {
        "three-octets-are-compared": ("login", b"+go\r\n", Level.VENDOR),
        "continuation-alone": ("login", b"+\r\n", Level.OURS),
        "untagged-before-continuation": ("user", b"* OK wait\r\n+ go\r\n", Level.OURS),
        "two-untagged-before-the-end": ("password", b"* A\r\n* B\r\na OK in\r\n", Level.OURS),
        "untagged-before-the-end": ("password", b"* A\r\na OK in\r\n", Level.VENDOR),
        "more-behind-it-is-dropped": ("login", b"+ go\r\n+ early\r\n", Level.VENDOR),
    },
    "pop3": {
        "three-octets-are-compared": ("greeting", b"+OKAY\r\n", Level.VENDOR),
        "shortest": ("user", b"+OK\r\n", Level.VENDOR),
        "line-feed-does-not-end-it": ("user", b"+OK a\n-ERR b\r\n", Level.VENDOR),
        "more-behind-it-is-dropped": ("user", b"+OK\r\n+OK early\r\n", Level.VENDOR),
    },
}
MORE_RULES = {
    "three-octets-are-compared": "pop3:PROXY-55",
    "continuation-alone": "IMAP-92 PROXY-59",
    "untagged-before-continuation": "IMAP-91 IMAP-92 PROXY-60",
    "two-untagged-before-the-end": "PROXY-61",
    "untagged-before-the-end": "PROXY-61",
}


def _fine(step: str, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, bench.protocol, step)
        await backend.send(reply)
        await finish(bench, client, backend, step, reply)

    return script


for kind, rows in FINE.items():
    for slug, (step_name, reply, level) in rows.items():
        case(
            f"{kind}/backend-reply/{slug}",
            f"the login goes on after {reply!r}",
            rules=f"PROXY-25 PROXY-24 {MORE_RULES.get(slug, '')}",
            block=login_block(kind),
            level=level,
            deviates=UNTAGGED if b"\na OK" in reply and level is Level.VENDOR else None,
        )(_fine(step_name, reply))
case(
    "imap/backend-reply/password-with-untagged-line-cut-anywhere",
    "an untagged line before the last reply, in two pieces cut behind each octet",
    rules="PROXY-64 PROXY-25",
    block=login_block("imap"),
    level=Level.VENDOR,
    deviates=UNTAGGED,
    limit=20,
)(_cut("password", b"* CAPABILITY X\r\na OK in\r\n"))


def _early(step: str, reply: bytes, refusal: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, bench.protocol, step)
        await backend.send(reply)
        await backend.until(b"\n")
        await backend.send(refusal)
        await client.expect(PROTOCOLS[bench.protocol].internal_error)
        await client.expect_eof()
        await backend.expect_eof()

    return script


for kind, step_name, reply, refusal in (
    ("smtp", "greeting", b"220 hi\r\n250 early\r\n250 earlier\r\n", b"550 no\r\n"),
    ("imap", "login", b"+ go\r\n+ early\r\n", b"a NO no\r\n"),
    ("pop3", "greeting", b"+OK\r\n+OK early\r\n", b"-ERR no\r\n"),
):
    case(
        f"{kind}/backend-reply/what-came-early-is-no-answer",
        "a reply that was there before its question does not count: the refusal after it does",
        rules="PROXY-1 PROXY-25",
        block=login_block(kind),
    )(_early(step_name, reply, refusal))


# As long as proxy_buffer, and one octet longer.


def padded(start: bytes, end: bytes, size: int) -> bytes:
    """A reply of so many octets."""
    return start + b"x" * (size - len(start) - len(end)) + end


LONG: dict[str, dict[str, tuple[str, bytes, bytes]]] = {
    "smtp": {
        "greeting": ("greeting", b"220 ", b"\r\n"),
        "several-lines": ("hello", b"250-backend.example\r\n250-", b"\r\n250 HELP\r\n"),
    },
    "imap": {
        "greeting": ("greeting", b"* OK ", b"\r\n"),
        "untagged-lines": ("password", b"* CAPABILITY ", b"\r\na OK logged in\r\n"),
    },
    "pop3": {"greeting": ("greeting", b"+OK ", b"\r\n"), "password": ("password", b"+OK ", b"\r\n")},
}


def _too_long(step: str, reply: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client, backend = await login_until(bench, bench.protocol, step)
        await backend.send(reply)
        await client.expect(PROTOCOLS[bench.protocol].internal_error)
        await client.expect_eof()
        await backend.expect_eof()

    return script


for kind, longs in LONG.items():
    block = login_block(kind, f"proxy_buffer {BUFFER}; proxy_pass_error_message on;")
    for slug, (step_name, start, end) in longs.items():
        case(
            f"{kind}/backend-reply/{slug}-of-exactly-proxy-buffer",
            "a reply that fills proxy_buffer exactly is accepted",
            rules="PROXY-26",
            directives="proxy_buffer",
            block=block,
            level=Level.VENDOR,
            deviates=UNTAGGED if slug == "untagged-lines" else None,
        )(_fine(step_name, padded(start, end, BUFFER)))
        case(
            f"{kind}/backend-reply/{slug}-one-octet-too-long",
            "one octet more is an internal error, even with proxy_pass_error_message",
            rules="PROXY-26 PROXY-69",
            directives="proxy_buffer proxy_pass_error_message",
            block=block,
            level=Level.VENDOR,
        )(_too_long(step_name, padded(start, end, BUFFER + 1)))
    case(
        f"{kind}/backend-reply/endless-line",
        "a reply that never ends fails as soon as proxy_buffer is full",
        rules="PROXY-26 PROXY-69",
        directives="proxy_buffer",
        block=block,
        level=Level.VENDOR,
    )(_too_long("greeting", LOGINS[kind][0].reply[:4] + b"x" * 65536))

KIBIBYTE = login_block("pop3", "proxy_buffer 1K;")
case(
    "pop3/size/in-kibibytes",
    "a buffer of 1K takes a reply of 1024 octets",
    rules="PROXY-94 PROXY-26",
    block=KIBIBYTE,
    level=Level.VENDOR,
)(_fine("greeting", padded(b"+OK ", b"\r\n", 1024)))
case(
    "pop3/size/in-kibibytes-is-exceeded",
    "a buffer of 1K takes no reply of 1025 octets",
    rules="PROXY-94 PROXY-26",
    block=KIBIBYTE,
    level=Level.VENDOR,
)(_too_long("greeting", padded(b"+OK ", b"\r\n", 1025)))
