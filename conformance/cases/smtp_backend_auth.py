"""AUTH PLAIN as an SMTP backend hears it (proxy rules, section 5.3)."""

from __future__ import annotations

from conformance.attempts import demands
from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import greeted, serve_any_login
from conformance.fakes.peer import Peer
from conformance.smtp_words import AUTHED, BACKEND_GREETING, BACKEND_OK, INTERNAL, auth_plain, b64, serve, xclient

__all__: list[str] = []

WITH_AUTH = Block("smtp", "proxy_smtp_auth on;")

CREDENTIALS = {
    # slug: what, user, password
    "no-padding": ("need no padding in base64", b"user", b"passw"),
    "padding-of-one": ("need one octet of padding", b"user", b"passwo"),
    "padding-of-two": ("need two octets of padding", b"user", b"passwor"),
    "empty": ("are empty", b"", b""),
    "empty-password": ("are a user and an empty password", b"user", b""),
    "spaces": ("hold spaces", b"a user", b"a pass word"),
    "line-ends": ("hold CR and LF", b"u\r\nQUIT", b"p\r\nQUIT"),
    "eight-bit": ("hold octets with their eighth bit", b"m\xc3\xbcller\xff", b"\x80\xfe"),
    "long": ("are long", b"u" * 255, b"p" * 1024),
}


async def hear_auth(bench: Bench, client: Peer, user: bytes, password: bytes) -> None:
    """The backend is shown these credentials in AUTH PLAIN. Raises Mismatch."""
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    plain = b"\0" + user + b"\0" + password
    if client.loosely is None:
        await serve(
            backend,
            (b"EHLO mx.example\r\n", BACKEND_OK),
            (xclient(bench, b""), BACKEND_OK),
            (b"AUTH PLAIN " + b64(plain) + b"\r\n", b"235 ok\r\n"),
        )
    else:
        # To name oneself as the authorization identity means no more than to name none (RFC 4616, section 2).
        bench.check("the credentials at the backend", await serve_any_login(bench, backend), plain, user + plain)
    await client.expect(AUTHED)


def _auth_to_backend(user: bytes, password: bytes) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await client.send(b"AUTH PLAIN %s\r\n" % b64(b"\0" + user + b"\0" + password))
        await bench.admit()
        await hear_auth(bench, client, user, password)

    return script


for slug, (what, user, password) in CREDENTIALS.items():
    case(
        f"smtp/backend/auth-plain-credentials-{slug}",
        f"AUTH PLAIN for the backend when user and password {what}",
        # RFC 4616 has no empty authentication identity.
        rules="PROXY-42" if user else "PROXY-45 PROXY-42",
        directives="proxy_smtp_auth",
        needs=demands(password),
        block=WITH_AUTH,
    )(_auth_to_backend(user, password))


@case(
    "smtp/backend/auth-plain-after-login",
    "a client that used LOGIN appears as AUTH PLAIN",
    rules="PROXY-43",
    directives="proxy_smtp_auth",
    block=WITH_AUTH,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH LOGIN %s\r\n%s\r\n" % (b64(bench.user), b64(bench.password)))
    await client.expect(b"334 UGFzc3dvcmQ6\r\n")
    await bench.admit()
    await hear_auth(bench, client, bench.user, bench.password)


@case(
    "smtp/backend/auth-plain-without-authorization-identity",
    "the client's authorization identity is not passed on",
    rules="SMTP-66 PROXY-42",
    directives="proxy_smtp_auth",
    block=WITH_AUTH,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH PLAIN %s\r\n" % b64(b"boss" + bench.plain))
    await bench.admit()
    await hear_auth(bench, client, bench.user, bench.password)


@case(
    "smtp/backend/auth-plain-with-the-auth-servers-credentials",
    "Auth-User and Auth-Pass of the auth server take the place of the client's",
    rules="PROXY-7 PROXY-42",
    directives="proxy_smtp_auth",
    block=WITH_AUTH,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(auth_plain(bench))
    await bench.admit("Auth-User: other", "Auth-Pass: secret of other")
    await hear_auth(bench, client, b"other", b"secret of other")


EXTERNAL = Block("smtp", "smtp_auth external cram-md5; proxy_smtp_auth on;")


@case(
    "smtp/backend/auth-plain-after-external-with-auth-pass",
    "after EXTERNAL the auth server's password is used",
    rules="PROXY-45 PROXY-7",
    directives="proxy_smtp_auth smtp_auth",
    block=EXTERNAL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH EXTERNAL %s\r\n" % b64(bench.user))
    await bench.admit("Auth-Pass: from-the-auth-server")
    await hear_auth(bench, client, bench.user, b"from-the-auth-server")


@case(
    "smtp/backend/no-password-after-external-ends-at-auth",
    "EXTERNAL without a password from the auth server fails behind XCLIENT, without an AUTH line",
    rules="PROXY-45 PROXY-69",
    directives="proxy_smtp_auth smtp_auth",
    block=EXTERNAL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH EXTERNAL %s\r\n" % b64(bench.user))
    await bench.admit()
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", BACKEND_OK), (xclient(bench, b""), BACKEND_OK))
    await client.expect(INTERNAL)
    await client.expect_eof()
    await backend.expect_eof()


@case(
    "smtp/backend/no-password-after-cram-md5-ends-at-auth",
    "a digest is no password for the backend: without one from the auth server the login fails without an AUTH line",
    rules="PROXY-8 PROXY-45 PROXY-69",
    directives="proxy_smtp_auth smtp_auth",
    block=EXTERNAL,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await client.send(b"AUTH CRAM-MD5\r\n")
    await client.expect(b"334 ")
    await client.until(b"\r\n")
    await client.send(b64(bench.user + b" " + b"0123456789abcdef" * 2) + b"\r\n")
    await bench.admit()
    backend = await bench.backend()
    await backend.send(BACKEND_GREETING)
    await serve(backend, (b"EHLO mx.example\r\n", BACKEND_OK), (xclient(bench, b""), BACKEND_OK))
    await client.expect(INTERNAL)
    await client.expect_eof()
    await backend.expect_eof()
