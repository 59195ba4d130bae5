"""CRAM-MD5 and APOP: salts, digests, and what the auth server needs to check them (sasl rules, 3, 4.4 and 4.5)."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, opened, talk, unasked
from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import PROTOCOLS, serve_login
from conformance.fakes.peer import Peer
from conformance.frames import FRAMES, Frame, b64
from conformance.verdict import Mismatch

__all__: list[str] = []

SALT = re.compile(rb"<(0|[1-9][0-9]{0,9})\.([1-9][0-9]{9})@mx\.example>")
SECRET = b"tanstaaftanstaaf"
DIGEST = b"0123456789abcdef0123456789abcdef"
SINCE, UNTIL = 1_600_000_000, 4_000_000_000
"""Times that a clock may show."""


def check_salt(bench: Bench, salt: bytes) -> None:
    """The form is that of the rule book. Raises Mismatch."""
    found = SALT.fullmatch(salt)
    if found is None or int(found[1]) >= 2**31 or not SINCE < int(found[2]) < UNTIL:
        raise Mismatch("a salt <R.T@mx.example>", repr(salt))
    bench.note(f"salt {salt!r}")


async def challenged(client: Peer, frame: Frame) -> bytes:
    """Begin CRAM-MD5; return the salt. Raises Mismatch."""
    await client.send(frame.start(b"CRAM-MD5"))
    await client.expect(frame.challenge)
    encoded = (await client.line()).removesuffix(b"\r\n")
    salt = b64decode(encoded, validate=True)
    if b64(salt) != encoded:
        raise Mismatch("padded base64", repr(encoded))
    return salt


def hmac_of(salt: bytes, secret: bytes = SECRET) -> bytes:
    """The digest of RFC 2195."""
    return hmac.new(secret, salt, hashlib.md5).hexdigest().encode()


def md5_of(salt: bytes) -> bytes:
    """The digest of RFC 1939."""
    return hashlib.md5(salt + SECRET, usedforsecurity=False).hexdigest().encode()


def _verified(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        salt = await challenged(client, frame)
        check_salt(bench, salt)
        digest = hmac_of(salt)
        await client.send(b64(b"tim " + digest) + b"\r\n")
        request = await check_attempt(bench, client, Attempt(b"tim", digest, b"cram-md5"))
        bench.check("Auth-Salt", request["Auth-Salt"], salt)
        bench.check("HMAC-MD5 of Auth-Salt", hmac_of(request["Auth-Salt"]), request["Auth-Pass"])

    return script


def _answered(frame: Frame, answer: bytes, wanted: Attempt | None) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await challenged(client, frame)
        await client.send(b64(answer) + b"\r\n")
        if wanted is not None:
            await check_attempt(bench, client, wanted)
            return
        async with unasked(bench):
            await client.expect(frame.reject)
            await alive(bench, client)

    return script


CRAM: dict[str, tuple[str, str, bytes, Attempt | None]] = {
    # slug: what, rules, the decoded answer, the attempt if there is one
    "digest-of-anything": ("32 octets that are no digest pass", "SASL-36", b"tim " + b"Z" * 32,
                           Attempt(b"tim", b"Z" * 32, b"cram-md5")),
    "digest-in-upper-case": ("as it was sent", "SASL-36 SASL-37", b"tim " + DIGEST.upper(),
                             Attempt(b"tim", DIGEST.upper(), b"cram-md5")),
    "digest-of-31-octets": ("refused", "SASL-36", b"tim " + DIGEST[:31], None),
    "digest-of-33-octets": ("refused", "SASL-36", b"tim " + DIGEST + b"0", None),
    "no-digest": ("refused", "SASL-36", b"tim ", None),
    "no-space": ("refused", "SASL-36", b"tim" + DIGEST, None),
    "empty-answer": ("refused", "SASL-36", b"", None),
    "space-behind-the-digest": ("refused", "SASL-36", b"tim " + DIGEST + b" ", None),
    "user-with-odd-octets": ("percent-encoded", "SASL-60", b"t%m\xe9\t " + DIGEST,
                             Attempt(b"t%25m\xe9%09", DIGEST, b"cram-md5")),
    "user-with-spaces": ("the last space divides", "SASL-35", b"tim the man " + DIGEST,
                         Attempt(b"tim%20the%20man", DIGEST, b"cram-md5")),
    "nul-in-the-user": ("refused", "SASL-94", b"t\0m " + DIGEST, None),
    "nul-in-the-digest": ("refused", "SASL-94", b"tim " + DIGEST[:31] + b"\0", None),
}  # fmt: skip


def _fresh(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        first = await challenged(client, frame)
        await talk(client, frame.rejected(b"*\r\n"))
        second = await challenged(client, frame)
        bench.check("whether the second salt is another", first != second, True)
        await client.send(b64(b"tim " + hmac_of(second)) + b"\r\n")
        request = await check_attempt(bench, client, Attempt(b"tim", hmac_of(second), b"cram-md5"))
        bench.check("Auth-Salt", request["Auth-Salt"], second)

    return script


def _differs_between_sessions(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        salts = [await challenged(await opened(bench), frame) for _number in range(5)]
        bench.check("the number of different salts", len({salt.split(b".")[0] for salt in salts}), 5)

    return script


def _without_password(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        salt = await challenged(client, frame)
        await client.send(b64(b"tim " + hmac_of(salt)) + b"\r\n")
        await bench.admit()
        if frame.name == "smtp":
            await bench.backend()
            return
        await client.expect(PROTOCOLS[frame.name].internal_error)
        await client.expect_eof()
        bench.no_backend()

    return script


def _stale(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"PLAIN", b64(b"\0user\0" + DIGEST)))
        request = await bench.request()
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.until(b" again\r\n")
        await challenged(client, frame)
        await client.send(b64(b"tim") + b"\r\n")
        async with unasked(bench):
            await client.expect(frame.reject)
            await alive(bench, client)

    return script


for frame in FRAMES.values():
    only = frame.block("cram-md5")
    case(
        f"{frame.name}/cram-md5/digest-can-be-verified",
        "what the auth server gets is enough to check the digest",
        rules="SASL-37 SASL-26 SASL-27 imap:IMAP-50 pop3:POP3-45",
        block=only,
        directives=f"{frame.name}_auth server_name",
    )(_verified(frame))
    for slug, (what, rules, answer, wanted) in CRAM.items():
        case(f"{frame.name}/cram-md5/{slug}", what, rules=rules, block=only, limit=8)(_answered(frame, answer, wanted))
    case(
        f"{frame.name}/cram-md5/each-exchange-has-its-own-salt",
        "a second exchange of a session has another salt, and the request has the second one",
        rules="SASL-25",
        block=only,
    )(_fresh(frame))
    case(
        f"{frame.name}/cram-md5/each-session-has-its-own-salt",
        "no two of five sessions have the same random number",
        rules="SASL-24 SASL-25",
        block=only,
    )(_differs_between_sessions(frame))
    case(
        f"{frame.name}/cram-md5/auth-server-gives-no-password",
        "the digest is never used as a password",
        rules="SASL-38 SASL-43 PROXY-8",
        block=only,
    )(_without_password(frame))
    case(
        f"{frame.name}/cram-md5/no-password-of-an-earlier-attempt",
        "an answer without a digest does not take one from the attempt before",
        rules="SASL-95",
        block=frame.plain,
    )(_stale(frame))


# APOP.

POP3 = FRAMES["pop3"]
APOP = POP3.block("plain apop")


async def greeted_with_salt(bench: Bench) -> tuple[Peer, bytes]:
    """A client, and the salt of the greeting."""
    client = await bench.client()
    await client.expect(b"+OK POP3 ready ")
    return client, (await client.line()).removesuffix(b"\r\n")


@case(
    "pop3/apop/digest-can-be-verified",
    "what the auth server gets is enough to check the digest",
    rules="SASL-40 POP3-37 POP3-2 SASL-27",
    block=APOP,
    directives="pop3_auth server_name",
)
async def _(bench: Bench) -> None:
    client, salt = await greeted_with_salt(bench)
    check_salt(bench, salt)
    digest = md5_of(salt)
    await client.send(b"APOP mr%ose " + digest + b"\r\n")
    request = await check_attempt(bench, client, Attempt(b"mr%25ose", digest, b"apop"))
    bench.check("Auth-Salt", request["Auth-Salt"], salt)
    bench.check("MD5", md5_of(request["Auth-Salt"]), request["Auth-Pass"])


@case(
    "pop3/apop/second-attempt-has-the-same-salt",
    "the greeting's salt is for the whole connection",
    rules="POP3-39 SASL-25",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, salt = await greeted_with_salt(bench)
    for number in (b"1", b"2"):
        await client.send(b"apop mrose " + DIGEST + b"\r\n")
        request = await bench.request()
        bench.check("Auth-Salt", request["Auth-Salt"], salt)
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], number)
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.expect(b"-ERR again\r\n")


@case(
    "pop3/apop/plain-login-has-no-salt",
    "Auth-Salt is for APOP only, though the greeting has one",
    rules="SASL-31 AUTH-18",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, _ = await greeted_with_salt(bench)
    await talk(client, (b"USER user\r\n", b"+OK\r\n"))
    await client.send(b"PASS pass\r\n")
    await check_attempt(bench, client, Attempt())


@case(
    "pop3/apop/backend-gets-user-and-pass",
    "the password of the auth server, never the digest",
    rules="POP3-38 SASL-90 PROXY-56",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, _ = await greeted_with_salt(bench)
    await client.send(b"APOP mrose " + DIGEST + b"\r\n")
    await bench.admit("Auth-Pass: " + SECRET.decode())
    backend = await bench.backend()
    await backend.send(b"+OK <1.2@backend.example>\r\n")
    await backend.expect(b"USER mrose\r\n")
    await backend.send(b"+OK\r\n")
    await backend.expect(b"PASS " + SECRET + b"\r\n")
    await backend.send(b"+OK in\r\n")
    await client.expect(b"+OK in\r\n")


@case(
    "pop3/apop/auth-server-gives-no-password",
    "the digest is never used as a password",
    rules="POP3-38 SASL-38 PROXY-8",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, _ = await greeted_with_salt(bench)
    await client.send(b"APOP mrose " + DIGEST + b"\r\n")
    await bench.admit()
    await client.expect(b"-ERR internal server error\r\n")
    await client.expect_eof()
    bench.no_backend()


@case(
    "pop3/apop/empty-password-of-the-auth-server-is-one",
    "an empty Auth-Pass is a password, and what the backend gets",
    rules="PROXY-7 POP3-38",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, _ = await greeted_with_salt(bench)
    await client.send(b"APOP mrose " + DIGEST + b"\r\n")
    await bench.admit("Auth-Pass: ")
    await serve_login(bench, await bench.backend())
    await client.expect(b"+OK logged in\r\n")


REJECT = b"-ERR invalid command\r\n"
APOPS: dict[str, tuple[str, str, tuple[Turn, ...]]] = {
    "without-arguments": ("refused", "POP3-20 SASL-39", ((b"APOP\r\n", REJECT),)),
    "without-digest": ("refused", "POP3-20 SASL-39", ((b"APOP mrose\r\n", REJECT), (b"APOP mrose \r\n", REJECT))),
    "with-three-arguments": ("refused", "POP3-20 SASL-39", ((b"APOP mrose " + DIGEST + b" x\r\n", REJECT),)),
    "after-user": ("refused, and the user is forgotten", "POP3-31 POP3-32",
                   ((b"USER mrose\r\n", b"+OK\r\n"), (b"APOP mrose " + DIGEST + b"\r\n", REJECT),
                    (b"PASS x\r\n", REJECT))),
}  # fmt: skip
for slug, (what, rules, turns) in APOPS.items():
    case(f"pop3/apop/{slug}", what, rules=rules, block=APOP)(dialogue(*turns))
case(
    "pop3/apop/not-configured",
    "refused, with any number of arguments",
    rules="SASL-3 POP3-20",
    block=POP3.words.block,
)(dialogue((b"APOP mrose " + DIGEST + b"\r\n", REJECT), (b"APOP\r\n", REJECT)))


@case(
    "pop3/apop/digest-is-not-checked",
    "any word is a digest for the proxy",
    rules="POP3-36 SASL-39",
    block=APOP,
)
async def _(bench: Bench) -> None:
    client, _ = await greeted_with_salt(bench)
    await client.send(b"APOP  mr\xe9  no%digest  \r\n")
    await check_attempt(bench, client, Attempt(b"mr\xe9", b"no%25digest", b"apop"))


@case(
    "pop3/greeting/no-salt-for-cram-md5-alone",
    "a salt in the greeting would invite to APOP, which is refused",
    rules="POP3-1 POP3-2",
    block=POP3.block("cram-md5"),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.expect(b"+OK POP3 ready\r\n")
