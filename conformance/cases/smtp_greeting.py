"""The SMTP greeting and what comes before it: greeting delay, early talkers (smtp rules, section 2)."""

from __future__ import annotations

import trio

from conformance.bench import Bench
from conformance.case import Block, Script, case
from conformance.dialogues import SMTP, greeted
from conformance.fakes.dns_server import no_answer, reverse_name
from conformance.smtp_words import BYE, EARLY, HELO, OK, auth_plain, log_in_saying, talk

__all__: list[str] = []

PLAIN = Block("smtp")
DELAYED = Block("smtp", "smtp_greeting_delay 1s;")
LONG = Block("smtp", "smtp_greeting_delay 8s;")
BEFORE_LONG = 6.0  # seconds; so much earlier must it be that it did not wait


@case(
    "smtp/greeting/comes-unprompted-and-once",
    "one greeting, without a word from the client",
    rules="SMTP-4 CORE-72",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await greeted(bench)
    await talk(client, SMTP.noop, (b"HELO c.example\r\n", HELO), (b"QUIT\r\n", BYE))
    await client.expect_eof()


@case(
    "smtp/greeting/early-commands-without-delay",
    "commands that come before the greeting are answered after it",
    rules="CORE-71",
    block=PLAIN,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(b"HELO c.example\r\nNOOP\r\n")
    await client.expect(SMTP.greeting + HELO + OK)
    await log_in_saying(bench, client, b"HELO c.example\r\n")


@case(
    "smtp/greeting/delay-passes",
    "the greeting comes after the delay, and the session is as any other",
    rules="SMTP-12 SMTP-108",
    directives="smtp_greeting_delay",
    block=DELAYED,
)
async def _(bench: Bench) -> None:
    started = trio.current_time()
    client = await greeted(bench)
    bench.check_duration("the greeting", started, 1.0)
    await talk(client, (b"HELO c.example\r\n", HELO))
    await log_in_saying(bench, client, b"HELO c.example\r\n")


@case(
    "smtp/greeting/delay-of-zero-is-none",
    "a delay of 0 lets early commands through",
    rules="SMTP-12 CONF-28",
    directives="smtp_greeting_delay",
    block=Block("smtp", "smtp_greeting_delay 0;"),
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(b"NOOP\r\n")
    await client.expect(SMTP.greeting + OK)


EARLY_TALK = {
    "one-octet": b"E",
    "line-end": b"\r\n",
    "command": b"EHLO c.example\r\n",
    "many-commands": b"EHLO c.example\r\nNOOP\r\nMAIL FROM:<a@b>\r\n",
    "more-than-a-buffer": b"NOOP\r\n" * 3000,
    "nul": b"\0",
    "quit": b"QUIT\r\n",
}


def _early(octets: bytes) -> Script:
    async def script(bench: Bench) -> None:
        started = trio.current_time()
        client = await bench.client()
        await client.send(octets)
        # Unread input may turn the close into a reset, which may take the reply with it.
        accepted = (EARLY, b"") if len(octets) > 4096 else (EARLY,)
        bench.check("all that an early talker reads", await client.rest(), *accepted)
        bench.check_duration("the refusal", started, 0.0, BEFORE_LONG)

    return script


for slug, octets in EARLY_TALK.items():
    case(
        f"smtp/greeting/early-talk-{slug}",
        f"an early talker ({slug.replace('-', ' ')}) is refused at once instead of being greeted",
        rules="SMTP-13",
        directives="smtp_greeting_delay",
        block=LONG,
    )(_early(octets))


@case(
    "smtp/greeting/early-login-is-not-asked-about",
    "credentials before the greeting go nowhere",
    rules="SMTP-13",
    directives="smtp_greeting_delay",
    block=LONG,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(auth_plain(bench))
    await client.expect(EARLY)
    await client.expect_eof()
    bench.no_request()


@case(
    "smtp/greeting/early-talk-during-the-delay",
    "talk in the middle of the delay is early, too",
    rules="SMTP-13",
    directives="smtp_greeting_delay",
    block=LONG,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await bench.silence(0.5)
    await client.expect_nothing()
    started = trio.current_time()
    await client.send(b"NOOP\r\n")
    await client.expect(EARLY)
    await client.expect_eof()
    bench.check_duration("the refusal", started, 0.0, BEFORE_LONG)


@case(
    "smtp/greeting/end-of-file-during-the-delay",
    "a client that ends before the greeting reads nothing",
    rules="SMTP-14",
    directives="smtp_greeting_delay",
    block=LONG,
)
async def _(bench: Bench) -> None:
    started = trio.current_time()
    client = await bench.client()
    await client.send_eof()
    await client.expect_eof()
    bench.check_duration("the close", started, 0.0, BEFORE_LONG)


@case(
    "smtp/greeting/timeout-begins-at-the-greeting",
    "the delay is no part of `timeout`",
    rules="SMTP-15 SMTP-107",
    directives="smtp_greeting_delay timeout",
    block=Block("smtp", "smtp_greeting_delay 2s; timeout 1s;"),
)
async def _(bench: Bench) -> None:
    started = trio.current_time()
    client = await greeted(bench)
    bench.check_duration("the greeting", started, 2.0)
    at_greeting = trio.current_time()
    await client.expect_eof()
    bench.check_duration("the close", started, 3.0)
    bench.check_duration("the close", at_greeting, 0.5)


DELAY_AND_DNS = Block("smtp", "smtp_greeting_delay 1s; resolver {dns}; resolver_timeout 1s;")


@case(
    "smtp/greeting/delay-begins-after-the-lookup",
    "the delay follows the lookup of the client's name",
    rules="CORE-39 SMTP-12 SMTP-3",
    directives="smtp_greeting_delay resolver",
    block=DELAY_AND_DNS,
)
async def _(bench: Bench) -> None:
    bench.say_ptr(no_answer)
    started = trio.current_time()
    await greeted(bench)
    bench.check_duration("the greeting", started, 2.0)


@case(
    "smtp/greeting/talk-during-the-lookup-is-early",
    "with a delay, talk during the lookup is refused when the lookup ends",
    rules="SMTP-8 CORE-40",
    directives="smtp_greeting_delay resolver",
    block=Block("smtp", "smtp_greeting_delay 1s; resolver {dns};"),
)
async def _(bench: Bench) -> None:
    pointer = reverse_name(bench.ip)
    held = bench.dns.hold(pointer, "PTR")
    client = await bench.client()
    await client.send(b"EHLO c.example\r\n")
    await bench.dns.wait_asked(f"{pointer} PTR")
    await client.expect_nothing()
    held.set()
    await client.expect(EARLY)
    await client.expect_eof()


PROXIED = Block("smtp", listen="proxy_protocol")


@case(
    "smtp/greeting/commands-behind-a-proxy-header",
    "commands in one packet with a PROXY header are answered after the greeting",
    rules="SMTP-6 CORE-71",
    directives="listen",
    block=PROXIED,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(b"PROXY UNKNOWN\r\nHELO c.example\r\nNOOP\r\n")
    await client.expect(SMTP.greeting + HELO + OK)
    await log_in_saying(bench, client, b"HELO c.example\r\n")


@case(
    "smtp/greeting/none-without-a-proxy-header",
    "a client that does not begin with a PROXY header is closed without a word",
    rules="CORE-60 SMTP-6",
    directives="listen",
    block=PROXIED,
)
async def _(bench: Bench) -> None:
    client = await bench.client()
    await client.send(b"EHLO c.example, who knows of no PROXY header\r\n")
    await client.expect_eof()
