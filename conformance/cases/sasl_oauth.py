"""XOAUTH2 and OAUTHBEARER in all three protocols: users, tokens, refusals (sasl rules, 4.7, 4.8 and 6.1)."""

from __future__ import annotations

import trio

from conformance.attempts import Attempt, Turn, alive, check_attempt, dialogue, login, opened, talk, unasked
from conformance.bench import Bench
from conformance.case import Script, case
from conformance.fakes.peer import Peer
from conformance.frames import FRAMES, Frame, b64
from conformance.rulebook import Level

__all__: list[str] = []

# What is decoded; ^ stands for the octet 1.
DECODED: dict[str, dict[str, tuple[str, str, bytes, Attempt | None]]] = {
    "xoauth2": {
        "user-and-token": ("read", "SASL-44 SASL-46", b"user=u@x^auth=Bearer t.o-k^^", Attempt(b"u@x", b"t.o-k")),
        "keys-in-any-case": ("read", "SASL-45", b"USER=u^aUTH=bEARER t^^", Attempt(b"u", b"t")),
        "empty-user": ("accepted", "SASL-45", b"user=^auth=Bearer t^^", Attempt(b"", b"t")),
        "empty-token": ("accepted", "SASL-45", b"user=u^auth=Bearer ^^", Attempt(b"u", b"")),
        "another-field-behind-the-token": ("part of the token", "SASL-45", b"user=u^auth=Bearer t^k=v^^",
                                           Attempt(b"u", b"t%01k=v")),
        "odd-octets": ("percent-encoded", "SASL-60", b"user=u %\xe9^auth=Bearer  t%^^",
                       Attempt(b"u%20%25\xe9", b"%20t%25")),
        "one-octet-missing-at-the-end": ("refused", "SASL-45", b"user=u^auth=Bearer t^", None),
        "no-end": ("refused", "SASL-45", b"user=u^auth=Bearer t", None),
        "field-before-the-token": ("refused", "SASL-45", b"user=u^host=h^auth=Bearer t^^", None),
        "no-separator": ("refused", "SASL-45", b"user=u", None),
        "no-user": ("refused", "SASL-45", b"u^auth=Bearer t^^", None),
        "another-scheme": ("refused", "SASL-45", b"user=u^auth=Basic t^^", None),
        "two-spaces-are-a-token-with-one": ("read", "SASL-45", b"user=u^auth=Bearer  ^^", Attempt(b"u", b"%20")),
        "no-space-behind-the-scheme": ("refused", "SASL-45", b"user=u^auth=Bearer^^", None),
        "space-before-the-user": ("refused", "SASL-45", b" user=u^auth=Bearer t^^", None),
        "form-of-oauthbearer": ("refused", "SASL-45", b"n,a=u,^auth=Bearer t^^", None),
        "nul-in-the-user": ("refused", "SASL-94", b"user=u\0v^auth=Bearer t^^", None),
        "nul-in-the-token": ("refused", "SASL-94", b"user=u^auth=Bearer t\0^^", None),
    },
    "oauthbearer": {
        "user-and-token": ("read", "SASL-47 SASL-48 SASL-50", b"n,a=u@x,^host=h^port=143^auth=Bearer t.o-k^^",
                           Attempt(b"u@x", b"t.o-k")),
        "no-client-key": ("a flag of `y` is not checked", "SASL-47", b"y,a=u,^auth=Bearer t^^", Attempt(b"u", b"t")),
        "channel-binding": ("a flag of `p=` is not checked", "SASL-47", b"p=tls-unique,a=u,^auth=Bearer t^^",
                            Attempt(b"u", b"t")),
        "empty-flag": ("not checked", "SASL-47", b",a=u,^auth=Bearer t^^", Attempt(b"u", b"t")),
        "field-before-the-user": ("skipped", "SASL-47", b"n,x=1,a=u,^auth=Bearer t^^", Attempt(b"u", b"t")),
        "second-user-after-an-empty-one": ("the first that is not empty", "SASL-47", b"n,a=,a=bob,^auth=Bearer t^^",
                                           Attempt(b"bob", b"t")),
        "first-of-two-users": ("the first that is not empty", "SASL-47", b"n,a=one,a=two,^auth=Bearer t^^",
                               Attempt(b"one", b"t")),
        "junk-behind-the-user": ("skipped", "SASL-48", b"n,a=u,junk^auth=Bearer t^^", Attempt(b"u", b"t")),
        "keys-in-any-case": ("read", "SASL-47 SASL-48", b"n,A=u,^AUTH=bearer t^^", Attempt(b"u", b"t")),
        "escaped-user": ("=2C and =3D are comma and equals sign", "SASL-49", b"n,a=u=2Cs=3dx,^auth=Bearer t^^",
                         Attempt(b"u,s=x", b"t")),
        "other-scheme-before-the-token": ("skipped", "SASL-48", b"n,a=u,^auth=Basic x^auth=Bearer t^^",
                                          Attempt(b"u", b"t")),
        "first-of-two-tokens": ("the first", "SASL-48", b"n,a=u,^auth=Bearer t^auth=Bearer v^^", Attempt(b"u", b"t")),
        "one-octet-missing-at-the-end": ("accepted", "SASL-48", b"n,a=u,^auth=Bearer t^", Attempt(b"u", b"t")),
        "odd-octets": ("percent-encoded", "SASL-60", b"n,a=u %\xe9,^auth=Bearer  t%^^",
                       Attempt(b"u%20%25\xe9", b"%20t%25")),
        "no-end": ("refused", "SASL-48", b"n,a=u,^auth=Bearer t", None),
        "no-user": ("refused", "SASL-47", b"n,,^auth=Bearer t^^", None),
        "empty-user": ("refused", "SASL-47", b"n,a=,^auth=Bearer t^^", None),
        "no-flag": ("refused", "SASL-47", b"a=u,^auth=Bearer t^^", None),
        "no-comma-behind-the-user": ("refused", "SASL-47", b"n,a=u^auth=Bearer t^^", None),
        "empty-token": ("refused", "SASL-48", b"n,a=u,^auth=Bearer ^^", None),
        "bad-escape": ("refused", "SASL-49", b"n,a=u=41x,^auth=Bearer t^^", None),
        "unfinished-escape": ("refused", "SASL-49", b"n,a=u=2,^auth=Bearer t^^", None),
        "equals-sign-at-the-end-of-the-user": ("refused", "SASL-49", b"n,a=u=,^auth=Bearer t^^", None),
        "form-of-xoauth2": ("refused", "SASL-47", b"user=u^auth=Bearer t^^", None),
        "nul-in-the-user": ("refused", "SASL-94", b"n,a=u\0v,^auth=Bearer t^^", None),
        "nul-in-the-token": ("refused", "SASL-94", b"n,a=u,^auth=Bearer t\0^^", None),
    },
}  # fmt: skip


def named(method: str, attempt: Attempt) -> Attempt:
    """The attempt by this method."""
    return Attempt(attempt.user, attempt.password, method.encode())


BY_METHOD = {"xoauth2": "smtp:SMTP-61 smtp:SMTP-71", "oauthbearer": "smtp:SMTP-62 smtp:SMTP-72 smtp:SMTP-73"}
"""Where the rules of SMTP say the same."""

for frame in FRAMES.values():
    for method, table in DECODED.items():
        for slug, (what, rules, decoded, attempt) in table.items():
            line = frame.start(method.upper().encode(), b64(decoded.replace(b"^", b"\x01")))
            if attempt is None:
                script = dialogue(frame.rejected(line))
            else:
                script = login(then=line, wanted=named(method, attempt))
            case(
                f"{frame.name}/{method}/{slug}",
                what,
                rules=f"{rules} {BY_METHOD[method]}",
                block=frame.oauth,
                directives=f"{frame.name}_auth",
                limit=8,
            )(script)


# The frame.

GOOD = {
    "xoauth2": b64(b"user=u\x01auth=Bearer t\x01\x01"),
    "oauthbearer": b64(b"n,a=u,\x01auth=Bearer t\x01\x01"),
}
DUMMY = {"xoauth2": b"\r\n", "oauthbearer": b"AQ==\r\n"}
"""With what a client answers the challenge of a refusal (SASL-81)."""

USER = Attempt(b"u", b"t")

for frame in FRAMES.values():
    for method, token in GOOD.items():
        name = method.upper().encode()
        case(
            f"{frame.name}/{method}/challenged",
            "an empty challenge, then the token",
            rules="SASL-8 SASL-45" if method == "xoauth2" else "SASL-8 SASL-48",
            block=frame.oauth,
        )(login(frame.challenged(frame.start(name)), then=token + b"\r\n", wanted=named(method, USER)))
        case(
            f"{frame.name}/{method}/two-responses",
            "refused",
            rules="SASL-8",
            block=frame.oauth,
        )(dialogue(frame.rejected(frame.start(name, token + b" " + token))))
        case(
            f"{frame.name}/{method}/equals-sign-is-an-empty-answer",
            "`=` is nothing, which lacks everything",
            rules="SASL-10",
            block=frame.oauth,
        )(dialogue(frame.rejected(frame.start(name, b"="))))
        case(
            f"{frame.name}/{method}/bad-base64",
            "refused",
            rules="SASL-12 SASL-16",
            block=frame.oauth,
        )(dialogue(frame.challenged(frame.start(name)), frame.rejected(b"!" + token + b"\r\n")))


# A refusal with a challenge.


async def refused_with_challenge(bench: Bench, frame: Frame, method: str, *lines: str) -> tuple[Peer, bytes]:
    """Let an attempt be refused with Auth-Error-SASL; the client has read the challenge. Returns the refusal's line."""
    client = await opened(bench)
    await client.send(frame.start(method.upper().encode(), GOOD[method]))
    request = await bench.request()
    await request.answer("Auth-Status: bad token", "Auth-Error-SASL: e30=", *lines)
    await client.expect(frame.challenge + b"e30=\r\n")
    return client, {"imap": b"a NO ", "pop3": b"-ERR ", "smtp": b"535 5.7.0 "}[frame.name] + b"bad token\r\n"


def _answered(frame: Frame, method: str, answer: bytes, *, taken: bool, waits: bool) -> Script:
    async def script(bench: Bench) -> None:
        client, refusal = await refused_with_challenge(bench, frame, method, *(["Auth-Wait: 1"] if waits else []))
        await talk(client, (answer, refusal if taken else frame.reject))
        if not waits:
            await client.expect_eof()
            bench.no_request()
            return
        await alive(bench, client)
        await client.send(frame.start(method.upper().encode(), GOOD[method]))
        request = await check_attempt(bench, client, named(method, USER))
        bench.check("Auth-Login-Attempt", request["Auth-Login-Attempt"], b"2")

    return script


def _is_counted(frame: Frame, method: str) -> Script:
    """AUTH, the answer and NOOP make three; nothing of it is an error."""

    async def script(bench: Bench) -> None:
        client, _ = await refused_with_challenge(bench, frame, method, "Auth-Wait: 1")
        noop, done = frame.words.noop
        await talk(client, (b"=\r\n", frame.reject), (noop, done))
        await client.send(noop)
        bench.check("whether the fourth line is done", await client.line() == done, False)
        await client.expect_eof()

    return script


WRONG: dict[str, dict[str, bytes]] = {
    "xoauth2": {"cancel": b"*\r\n", "dummy-of-oauthbearer": b"AQ==\r\n", "equals-sign": b"=\r\n"},
    "oauthbearer": {"cancel": b"*\r\n", "empty-line": b"\r\n", "another-octet": b"Ag==\r\n"},
}
for frame in FRAMES.values():
    for method in GOOD:
        for waits in (False, True):
            end = "and-is-kept" if waits else "and-is-closed"
            case(
                f"{frame.name}/{method}/refusal-with-challenge-{end}",
                "the challenge, the dummy answer, the refusal; Auth-Wait decides whether the session goes on",
                rules="SASL-80 SASL-82",
                block=frame.oauth,
                level=Level.VENDOR,
            )(_answered(frame, method, DUMMY[method], taken=True, waits=waits))
            for slug, answer in WRONG[method].items():
                case(
                    f"{frame.name}/{method}/challenge-answered-with-{slug}-{end}",
                    "rejected instead of refused; Auth-Wait decides whether the session goes on",
                    rules="SASL-82 SASL-81",
                    block=frame.oauth,
                )(_answered(frame, method, answer, taken=False, waits=waits))
        case(
            f"{frame.name}/{method}/answer-to-a-challenge-is-a-command-and-no-error",
            "a rejected answer counts for max_commands and not for max_errors",
            rules="SASL-84",
            block=frame.block("plain xoauth2 oauthbearer", "max_errors 1; max_commands 3;"),
        )(_is_counted(frame, method))
    case(
        f"{frame.name}/oauthbearer/challenge-answered-with-more-than-the-dummy",
        "`AQ==` must be the whole answer",
        rules="SASL-81",
        block=frame.oauth,
    )(_answered(frame, "oauthbearer", b"AQ==junk\r\n", taken=False, waits=True))
    case(
        f"{frame.name}/xoauth2/challenge-answered-with-an-unparsable-line",
        "rejected like any other wrong answer, and the next attempt is made",
        rules="SASL-81",
        block=frame.oauth,
    )(_answered(frame, "xoauth2", b"x\ry\r\n", taken=False, waits=True))


def _without_challenge(frame: Frame, line: bytes, wanted: Attempt, *lines: str) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(line)
        request = await bench.request()
        bench.check("Auth-Method", request["Auth-Method"], wanted.method)
        await request.answer("Auth-Status: nope", *lines)
        await client.expect(
            {"imap": b"a NO nope\r\n", "pop3": b"-ERR nope\r\n", "smtp": b"535 5.7.0 nope\r\n"}[frame.name]
        )
        await client.expect_eof()

    return script


def _waits_first(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"XOAUTH2", GOOD["xoauth2"]))
        request = await bench.request()
        started = trio.current_time()
        await request.answer("Auth-Wait: 1", "Auth-Error-SASL: ", "Auth-Status: no")
        await client.expect(frame.challenge + b"\r\n")
        bench.check("whether Auth-Wait came first", trio.current_time() - started > 0.65, True)
        started = trio.current_time()
        await client.send(b"\r\n")
        await client.until(b" no\r\n")
        bench.check("whether Auth-Wait came again", trio.current_time() - started > 0.9, False)

    return script


def _stale(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"PLAIN", b64(b"\0user\0pass")))
        request = await bench.request()
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.until(b" again\r\n")
        async with unasked(bench):
            await talk(client, frame.rejected(frame.start(b"XOAUTH2", b64(b"user=u"))))
            await alive(bench, client)

    return script


def _token_as_password(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"XOAUTH2", GOOD["xoauth2"]))
        await bench.admit()
        backend = await bench.backend()
        if frame.name == "imap":
            turns: tuple[Turn, ...] = (
                (b"* OK\r\n", b"a LOGIN {1}\r\n"), (b"+ go\r\n", b"u {1}\r\n"), (b"+ go\r\n", b"t\r\n"),
            )  # fmt: skip
        else:
            turns = (b"+OK\r\n", b"USER u\r\n"), (b"+OK\r\n", b"PASS t\r\n")
        await talk(backend, *turns)

    return script


for frame in FRAMES.values():
    for method, token in GOOD.items():
        case(
            f"{frame.name}/{method}/refusal-without-challenge",
            "without Auth-Error-SASL the refusal comes at once",
            rules="SASL-85",
            block=frame.oauth,
        )(_without_challenge(frame, frame.start(method.upper().encode(), token), named(method, USER)))
    case(
        f"{frame.name}/sasl/challenge-of-a-refusal-is-for-oauth-only",
        "Auth-Error-SASL after a refused PLAIN is ignored",
        rules="SASL-80",
        block=frame.oauth,
    )(_without_challenge(frame, frame.start(b"PLAIN", b64(b"\0u\0p")), Attempt(), "Auth-Error-SASL: e30="))
    case(
        f"{frame.name}/xoauth2/challenge-waits-once",
        "Auth-Wait delays the challenge, which may be empty, and not the refusal again",
        rules="SASL-80 SASL-82",
        block=frame.oauth,
        directives="timeout",
    )(_waits_first(frame))
    case(
        f"{frame.name}/xoauth2/no-password-of-an-earlier-attempt",
        "an answer without a token does not take one from the attempt before",
        rules="SASL-95",
        block=frame.oauth,
    )(_stale(frame))
    if frame.name != "smtp":
        case(
            f"{frame.name}/xoauth2/token-is-the-password-for-the-backend",
            "without Auth-Pass of the auth server the backend gets the token",
            rules="SASL-91 SASL-90",
            block=frame.oauth,
        )(_token_as_password(frame))
