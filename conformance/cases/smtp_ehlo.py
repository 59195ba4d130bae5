"""The reply to EHLO: capabilities, mechanisms, STARTTLS (smtp rules, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import greeted
from conformance.smtp_words import INVALID, NEED_TLS, talk

__all__ = ["INHERITED"]

STARTTLS = "ssl_certificate {certificate}; ssl_certificate_key {certificate}; starttls "


@dataclass(frozen=True, slots=True)
class Reply:
    """Directives, and the lines behind the server's name."""

    directives: str
    lines: tuple[bytes, ...]
    rules: str = "SMTP-47"


DEFAULT = b"AUTH PLAIN LOGIN"
REPLIES = {
    "capabilities": Reply('smtp_capabilities "SIZE 10240000" 8BITMIME;', (b"SIZE 10240000", b"8BITMIME", DEFAULT),
                          "SMTP-50 SMTP-47"),
    "capabilities-of-two-directives": Reply("smtp_capabilities B A; smtp_capabilities D C;",
                                            (b"B", b"A", b"D", b"C", DEFAULT), "SMTP-50"),
    "capabilities-as-they-are": Reply('smtp_capabilities pipelining "x  Y";', (b"pipelining", b"x  Y", DEFAULT),
                                      "SMTP-50"),
    "nothing-to-say": Reply("smtp_auth none;", (), "SMTP-48 SMTP-47"),
    "none-is-not-listed": Reply("smtp_auth none plain;", (b"AUTH PLAIN",), "SMTP-48"),
    "none-with-capabilities": Reply("smtp_auth none; smtp_capabilities VRFY PIPELINING;", (b"VRFY", b"PIPELINING"),
                                    "SMTP-48 SMTP-47"),
    "mechanisms-in-fixed-order": Reply("smtp_auth external cram-md5 login plain;",
                                       (b"AUTH PLAIN LOGIN CRAM-MD5 EXTERNAL",), "SMTP-48"),
    "only-what-is-enabled": Reply("smtp_auth cram-md5;", (b"AUTH CRAM-MD5",), "SMTP-48"),
    "login-without-plain": Reply("smtp_auth login;", (b"AUTH LOGIN",), "SMTP-48"),
    "mechanisms-of-two-directives": Reply("smtp_auth login; smtp_auth cram-md5;", (b"AUTH LOGIN CRAM-MD5",), "SMTP-51"),
    "mechanisms-in-any-case": Reply("smtp_auth Plain CRAM-MD5;", (b"AUTH PLAIN CRAM-MD5",), "SMTP-51"),
    "oauth-mechanisms-last": Reply("smtp_auth oauthbearer xoauth2 external plain;",
                                   (b"AUTH PLAIN EXTERNAL XOAUTH2 OAUTHBEARER",), "SMTP-48"),
    "starttls-on": Reply(f"{STARTTLS}on; smtp_capabilities A B;", (b"A", b"B", DEFAULT, b"STARTTLS"), "SMTP-49"),
    "starttls-only": Reply(f"{STARTTLS}only; smtp_capabilities A B;", (b"A", b"B", b"STARTTLS"), "SMTP-49"),
    "starttls-only-without-mechanism": Reply(f"{STARTTLS}only; smtp_auth none;", (b"STARTTLS",), "SMTP-49"),
    "starttls-off": Reply(f"{STARTTLS}off;", (DEFAULT,), "SMTP-49"),
}  # fmt: skip


def formed(lines: tuple[bytes, ...]) -> bytes:
    """The reply: a hyphen in all lines but the last."""
    *first, last = b"mx.example", *lines
    return b"".join(b"250-%s\r\n" % line for line in first) + b"250 %s\r\n" % last


def _reply(lines: tuple[bytes, ...]) -> Script:
    async def script(bench: Bench) -> None:
        client = await greeted(bench)
        await talk(client, (b"EHLO c.example\r\n", formed(lines)), (b"HELO c.example\r\n", b"250 mx.example\r\n"))

    return script


for slug, reply in REPLIES.items():
    case(
        f"smtp/ehlo/{slug}",
        f"the reply to EHLO with {reply.directives.removeprefix(STARTTLS.partition('starttls')[0])}",
        rules=reply.rules,
        directives=" ".join(sorted({words.split()[0] for words in reply.directives.split(";") if words.strip()})),
        block=Block("smtp", reply.directives),
    )(_reply(reply.lines))

INHERITED = 'smtp_capabilities "SIZE 1" INHERITED; smtp_auth login; xclient off;'
for slug, directives, lines in (
    ("inherited", "", (b"SIZE 1", b"INHERITED", b"AUTH LOGIN")),
    ("capabilities-replace-the-inherited", "smtp_capabilities OWN;", (b"OWN", b"AUTH LOGIN")),
    ("mechanisms-replace-the-inherited", "smtp_auth plain;", (b"SIZE 1", b"INHERITED", b"AUTH PLAIN")),
):
    case(
        f"smtp/ehlo/{slug}",
        f"below {INHERITED!r} of the mail block a server has {directives or 'nothing of its own'}",
        rules="SMTP-50 SMTP-51 CONF-32 CONF-33 CORE-3",
        directives="smtp_capabilities smtp_auth",
        block=Block("smtp", directives),
        mail=INHERITED,
    )(_reply(lines))


@case(
    "smtp/ehlo/only-blocks-auth-before-tls",
    "with `starttls only` AUTH is refused in the clear, other commands are not",
    rules="SMTP-52 SMTP-102",
    directives="starttls",
    block=Block("smtp", f"{STARTTLS}only;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(
        client,
        (b"EHLO c\r\n", formed((b"STARTTLS",))),
        (b"AUTH PLAIN %s\r\n" % bench.plain64, INVALID),
        (b"AUTH PLAIN\r\n", INVALID),
        (b"AUTH\r\n", INVALID),
        (b"NOOP\r\n", b"250 2.0.0 OK\r\n"),
        (b"RSET\r\n", b"250 2.0.0 OK\r\n"),
        (b"HELO c\r\n", b"250 mx.example\r\n"),
        (b"QUIT\r\n", b"221 2.0.0 Bye\r\n"),
    )
    await client.expect_eof()
    bench.no_request()


@case(
    "smtp/ehlo/only-blocks-envelopes-before-tls",
    "with `starttls only` and `smtp_auth none` MAIL and RCPT are refused in the clear",
    rules="SMTP-122 SMTP-36 SMTP-37 SMTP-102",
    directives="starttls smtp_auth",
    block=Block("smtp", f"{STARTTLS}only; smtp_auth none;"),
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(
        client,
        (b"MAIL FROM:<a@b>\r\n", NEED_TLS),
        (b"RCPT TO:<c@d>\r\n", NEED_TLS),
        (b"MAIL\r\n", NEED_TLS),
    )
    bench.no_request()
