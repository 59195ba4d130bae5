"""Tests of somebody else who uses the pytest fixtures; type-checked with trio-typing's plugin and mypy 1.8."""

from __future__ import annotations

import trio

from conformance.stage import AuthHttp, Backend, Dns, MailProxy


async def test_a_message_gets_in(mail_proxy: MailProxy, auth_http: AuthHttp, smtp_backend: Backend, dns: Dns) -> None:
    dns.say("joe.example", "A", "A 127.0.0.1")
    proxy = await mail_proxy("smtp", "resolver {dns};")
    client = await proxy.client()
    with trio.fail_after(5):
        greeting: bytes = await client.line()
        request = await auth_http.admit(smtp_backend)
        backend = await smtp_backend.logged_in()
    await backend.send(b"250 ok\r\n")
    assert greeting.startswith(b"220 ")
    assert request.user == b"joe"
