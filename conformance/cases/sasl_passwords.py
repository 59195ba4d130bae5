"""PLAIN, LOGIN and EXTERNAL in all three protocols: what is read out of their answers (sasl rules, 4.2, 4.3, 4.6)."""

from __future__ import annotations

from conformance.attempts import Attempt, Turn, check_attempt, dialogue, login, opened, talk
from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import PROTOCOLS
from conformance.frames import FRAMES, PASSWORD, USERNAME, Frame, b64
from conformance.rulebook import Level

__all__: list[str] = []


# PLAIN: the decoded octets, and what is read out of them.

PLAINS: dict[str, tuple[str, str, bytes, Attempt | None]] = {
    # slug: what, rules, decoded, the attempt if there is one
    "user-and-password": ("read", "SASL-30 SASL-31 SASL-9", b"\0user\0pass", Attempt()),
    "authorization-identity": ("dropped", "SASL-30 SASL-29", b"admin\0user\0pass", Attempt()),
    "authorization-identity-equal-to-the-user": ("dropped", "SASL-30 SASL-29", b"user\0user\0pass", Attempt()),
    "empty-password": ("accepted", "SASL-30", b"\0user\0", Attempt(password=b"")),
    "empty-user": ("accepted", "SASL-30", b"\0\0pass", Attempt(b"")),
    "nothing-but-separators": ("both empty, accepted", "SASL-30", b"\0\0", Attempt(b"", b"")),
    "spaces-and-percents": ("percent-encoded", "SASL-60 SASL-61", b"\0us er\0p%ss \t",
                            Attempt(b"us%20er", b"p%25ss%20%09")),
    "high-octets-and-quotes": ("as they are", "SASL-60 SASL-61", b'\0us\xc3\xa9r\0"p\\\xff\x7f+=',
                               Attempt(b"us\xc3\xa9r",
                               b'"p\\\xff\x7f+=')),
    "long-values": ("whole", "SASL-29 SASL-61", b"\0" + b"u" * 30 + b"\0" + b"p" * 40, Attempt(b"u" * 30, b"p" * 40)),
    "no-separator": ("refused", "SASL-30", b"user", None),
    "only-the-user": ("refused", "SASL-30", b"\0user", None),
    "one-separator": ("refused", "SASL-30", b"\0", None),
    "separator-only-at-the-end": ("refused", "SASL-30", b"user\0", None),
}  # fmt: skip
for frame in FRAMES.values():
    for slug, (what, rules, decoded, wanted) in PLAINS.items():
        line = frame.start(b"PLAIN", b64(decoded))
        script = dialogue(frame.rejected(line)) if wanted is None else login(then=line, wanted=wanted)
        case(f"{frame.name}/plain/{slug}", what, rules=rules, block=frame.plain, level=Level.VENDOR)(script)
    case(
        f"{frame.name}/plain/password-with-nul",
        "refused, since it would be another password for other programs",
        rules="SASL-94 SASL-30",
        block=frame.plain,
    )(dialogue(frame.rejected(frame.start(b"PLAIN", b64(b"\0user\0pa\0ss")))))
    case(
        f"{frame.name}/plain/challenged",
        "an empty challenge, then the answer",
        rules="SASL-8 SASL-31 imap:IMAP-50 pop3:POP3-45",
        block=frame.plain,
    )(login(frame.challenged(frame.start(b"PLAIN")), then=b64(b"x\0user\0pass") + b"\r\n", wanted=Attempt()))
    case(
        f"{frame.name}/plain/equals-sign-is-an-empty-answer",
        "`=` is nothing, which lacks its fields",
        rules="SASL-10 SASL-30",
        block=frame.plain,
    )(dialogue(frame.rejected(frame.start(b"PLAIN", b"="))))
    case(
        f"{frame.name}/plain/empty-answer-to-the-challenge",
        "nothing, which lacks its fields",
        rules="SASL-30 SASL-13",
        block=frame.plain,
    )(dialogue(frame.challenged(frame.start(b"PLAIN")), frame.rejected(b"\r\n")))

    breaks = (b"\0us\r\ner\0pass", b"\0user\0pa\nss", b"\0user\rQUIT\0pass")
    for name, decoded in zip(("crlf-in-the-user", "lf-in-the-password", "cr-in-the-user"), breaks, strict=True):
        line = frame.start(b"PLAIN", b64(decoded))
        user, password = (
            part.replace(b"\r", b"%0D").replace(b"\n", b"%0A") for part in decoded.removeprefix(b"\0").split(b"\0")
        )
        if frame.name == "pop3":
            script = dialogue(frame.rejected(line))
            what = "refused, since it would be a command for the backend"
        else:
            script = login(then=line, wanted=Attempt(user, password))
            what = "data, percent-encoded"
        case(
            f"{frame.name}/plain/{name}",
            what,
            rules="SASL-94" if frame.name == "pop3" else "SASL-60 SASL-94",
            block=frame.plain,
        )(script)


# LOGIN.


def login_turns(frame: Frame, user: bytes, *, initial: bool = False) -> tuple[Turn, ...]:
    """The turns of LOGIN up to the password prompt."""
    if initial:
        return (frame.challenged(frame.start(b"LOGIN", user), PASSWORD),)
    return (frame.challenged(frame.start(b"LOGIN"), USERNAME), frame.challenged(user + b"\r\n", PASSWORD))


LOGINS: dict[str, tuple[str, str, bytes, bytes, bool, Attempt]] = {
    # slug: what, rules, user, password, whether the user comes with the command, the attempt
    "user-and-password": ("asked for one after the other", "SASL-32 SASL-34", b"dXNlcg==", b"cGFzcw==", False,
                          Attempt()),
    "user-with-the-command": ("only the password is asked for", "SASL-8 SASL-32", b"dXNlcg==", b"cGFzcw==", True,
                              Attempt()),
    "empty-user": ("accepted", "SASL-32", b"", b"cGFzcw==", False, Attempt(b"")),
    "empty-password": ("accepted", "SASL-32", b"dXNlcg==", b"", False, Attempt(password=b"")),
    "equals-sign-for-the-user": ("an empty user", "SASL-10 SASL-32", b"=", b"cGFzcw==", True, Attempt(b"")),
    "equals-sign-for-both": ("empty", "SASL-12 SASL-32", b"=", b"=", False, Attempt(b"", b"")),
    "odd-octets": ("percent-encoded", "SASL-60 SASL-32", b64(b"us er\xe9"), b64(b"p%\t\xff"), False,
                   Attempt(b"us%20er\xe9", b"p%25%09\xff")),
}  # fmt: skip
for frame in FRAMES.values():
    for slug, (what, rules, user, password, initial, attempt) in LOGINS.items():
        case(f"{frame.name}/login-method/{slug}", what, rules=rules, block=frame.plain, level=Level.VENDOR)(
            login(*login_turns(frame, user, initial=initial), then=password + b"\r\n", wanted=attempt)
        )
    BAD_ANSWERS: dict[str, tuple[Turn, ...]] = {
        "bad-password": (*login_turns(frame, b"dXNlcg=="), frame.rejected(b"c!!!\r\n")),
        "bad-user-with-the-command": (frame.rejected(frame.start(b"LOGIN", b"d!!!")),),
    }
    for slug, turns in BAD_ANSWERS.items():
        case(
            f"{frame.name}/login-method/{slug}",
            "refused, and the exchange is over",
            rules="SASL-33 SASL-16 imap:IMAP-53",
            block=frame.plain,
        )(dialogue(*turns))
    case(
        f"{frame.name}/login-method/bad-user",
        "refused, and no password is asked for",
        rules="SASL-33 SASL-16 imap:IMAP-53",
        block=frame.plain,
        deviates={"nginx": "the reject has no tag, as in 1.31.5 (IMAP-53)"} if frame.name == "imap" else None,
    )(dialogue(frame.challenged(frame.start(b"LOGIN"), USERNAME), frame.rejected(b"d!!!\r\n")))
    case(
        f"{frame.name}/login-method/nul-in-the-password",
        "refused",
        rules="SASL-94",
        block=frame.plain,
    )(dialogue(*login_turns(frame, b"dXNlcg=="), frame.rejected(b64(b"pa\0ss") + b"\r\n")))


def _user_forgotten(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await talk(client, *login_turns(frame, b64(b"mallory")), frame.rejected(b"*\r\n"))
        await talk(client, *login_turns(frame, b""))
        await client.send(b"cGFzcw==\r\n")
        await check_attempt(bench, client, Attempt(b""))

    return script


for frame in FRAMES.values():
    case(
        f"{frame.name}/login-method/user-of-a-cancelled-exchange-is-forgotten",
        "the next one has its own, be it empty",
        rules="SASL-32 SASL-16",
        block=frame.plain,
    )(_user_forgotten(frame))


# EXTERNAL.


def _external_after_plain(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"PLAIN", b64(b"\0user\0old")))
        request = await bench.request()
        await request.answer("Auth-Status: again", "Auth-Wait: 1")
        await client.until(b" again\r\n")
        await client.send(frame.start(b"EXTERNAL", b64(b"other")))
        await check_attempt(bench, client, Attempt(b"other", b"", b"external"))

    return script


def _external_without_password(frame: Frame) -> Script:
    async def script(bench: Bench) -> None:
        client = await opened(bench)
        await client.send(frame.start(b"EXTERNAL", b64(b"other")))
        await bench.admit()
        if frame.name == "smtp":
            await bench.backend()
            return
        await client.expect(PROTOCOLS[frame.name].internal_error)
        await client.expect_eof()
        bench.no_backend()

    return script


for frame in FRAMES.values():
    only = frame.block("external")
    case(
        f"{frame.name}/external/prompted",
        "the username prompt, then the user",
        rules="SASL-41 SASL-42 SASL-6",
        block=only,
        directives=f"{frame.name}_auth",
    )(
        login(
            frame.challenged(frame.start(b"EXTERNAL"), USERNAME),
            then=b64(b"us er%") + b"\r\n",
            wanted=Attempt(b"us%20er%25", b"", b"external"),
        )
    )
    case(
        f"{frame.name}/external/initial-response",
        "the user at once",
        rules="SASL-8 SASL-42 SASL-6",
        block=only,
        directives=f"{frame.name}_auth",
    )(login(then=frame.start(b"EXTERNAL", b64(b"user")), wanted=Attempt(b"user", b"", b"external")))
    for slug, response in {"equals-sign": b"=", "empty-answer": None}.items():
        turns = () if response else (frame.challenged(frame.start(b"EXTERNAL"), USERNAME),)
        then = frame.start(b"EXTERNAL", response) if response else b"\r\n"
        case(
            f"{frame.name}/external/{slug}",
            "an empty user is left to the auth server",
            rules="SASL-10 SASL-41" if response else "SASL-41",
            block=only,
            directives=f"{frame.name}_auth",
        )(login(*turns, then=then, wanted=Attempt(b"", b"", b"external")))
    case(
        f"{frame.name}/external/bad-base64",
        "refused",
        rules="SASL-12 SASL-16",
        block=only,
    )(dialogue(frame.rejected(frame.start(b"EXTERNAL", b"d!!!"))))
    case(
        f"{frame.name}/external/nul-in-the-user",
        "refused",
        rules="SASL-94",
        block=only,
    )(dialogue(frame.rejected(frame.start(b"EXTERNAL", b64(b"us\0er")))))
    case(
        f"{frame.name}/external/no-password-of-an-earlier-attempt",
        "Auth-Pass is empty although an earlier attempt had one",
        rules="SASL-42",
        block=frame.plain,
        deviates={"nginx": "sends the password of the earlier attempt, as in 1.31.5 (SASL-Q15)"},
    )(_external_after_plain(frame))
    case(
        f"{frame.name}/external/auth-server-gives-no-password",
        "internal error, for the backend wants one"
        if frame.name != "smtp"
        else "the backend is contacted, for it wants none",
        rules="SASL-43 SASL-38 PROXY-8",
        block=only,
    )(_external_without_password(frame))


@case(
    "pop3/external/no-salt",
    "Auth-Salt is for APOP and CRAM-MD5 only",
    rules="SASL-61 AUTH-18",
    block=FRAMES["pop3"].block("apop cram-md5 external"),
    deviates={"nginx": "1.22 sends the salt of the greeting for every method but plain"},
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    await client.send(b"AUTH EXTERNAL dXNlcg==\r\n")
    request = await check_attempt(bench, client, Attempt(password=b"", method=b"external"))
    bench.check("presence of Auth-Salt", "Auth-Salt" in request, False)


@case(
    "imap/sasl/quoted-method-and-literal-response",
    "a method may be a quoted string, a response a literal",
    rules="SASL-11 IMAP-29",
    block=FRAMES["imap"].plain,
)
async def _(bench: Bench) -> None:
    client = await opened(bench)
    plain = b64(b"\0user\0pass")
    await talk(
        client,
        (b'a AUTHENTICATE "PLAIN" "!!!!"\r\n', b"a BAD invalid command\r\n"),
        (b"a AUTHENTICATE {5}\r\n", b"+ OK\r\n"),
        (b"plain\r\n", b"+ \r\n"),
        (b"*\r\n", b"a BAD invalid command\r\n"),
        (b'tag AUTHENTICATE "PLAIN" {%d}\r\n' % len(plain), b"+ OK\r\n"),
    )
    await client.send(plain + b"\r\n")
    await check_attempt(bench, client, Attempt(), tag=b"tag")
