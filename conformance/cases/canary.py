"""The canary: one plain session of each protocol, run before and after everything else."""

from __future__ import annotations

from conformance.bench import Bench
from conformance.case import Script, case
from conformance.dialogues import PROTOCOLS, Words, log_in
from conformance.rulebook import Level

__all__: list[str] = []


def _canary(words: Words) -> Script:
    async def script(bench: Bench) -> None:
        relay = await log_in(bench)
        await relay.client.send(b"ping\r\n")
        await relay.backend.expect(b"ping\r\n")
        await relay.backend.send(b"pong\r\n")
        await relay.client.expect(b"pong\r\n")
        await relay.backend.close()
        await relay.client.expect_eof()

    return script


for words in PROTOCOLS.values():
    case(
        f"{words.name}/canary/one-session",
        "a client logs in, a line goes each way, the backend's end ends the session",
        rules="PROXY-72 PROXY-76 CORE-13 CORE-72 PROXY-2 smtp:SMTP-82 imap:IMAP-98",
        level=Level.MUST,  # whatever its words are, what fails here is no proxy
        block=words.block,
        directives="protocol",
    )(_canary(words))
