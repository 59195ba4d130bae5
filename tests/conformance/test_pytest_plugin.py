"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

import inspect
import re
import textwrap

import pytest

from conformance import pytest_plugin

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

IMPORTS = "from conformance.stage import AuthHttp, Backend, Dns, MailProxy\nimport trio\n"


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    """A directory of somebody who has installed the plugin and uses pytest-trio."""
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    return pytester


def run(pytester: pytest.Pytester, text: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(IMPORTS + textwrap.dedent(text))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)


def test_the_documented_test_passes(inner: pytest.Pytester) -> None:
    example = re.search(r"(?ms)^    async def test_a_user.*?\n\n", inspect.getdoc(pytest_plugin) or "")
    assert example
    run(inner, example[0]).assert_outcomes(passed=1)


def test_all_fixtures_together(inner: pytest.Pytester) -> None:
    text = """
        async def test_smtp(mail_proxy, auth_http, smtp_backend, dns):
            dns.say("1.0.0.127.in-addr.arpa", "PTR", "PTR joe.example.")
            dns.say("joe.example", "A", "A 127.0.0.1")
            proxy = await mail_proxy("smtp", "resolver {dns};")
            client = await proxy.client()
            await client.expect(b"220 mx.example ESMTP ready\\r\\n")
            await client.send(b"AUTH PLAIN AGpvZQBzZWNyZXQ=\\r\\n")
            request = await auth_http.admit(smtp_backend)
            assert (request.user, request.password, request["Client-Host"]) == (b"joe", b"secret", b"joe.example")
            backend = await smtp_backend.connection()
            await backend.send(b"220 b\\r\\n")
            assert await backend.line() == b"EHLO mx.example\\r\\n"
            assert "joe.example A" in dns.asked

        async def test_imap(mail_proxy, auth_http, imap_backend):
            client = await (await mail_proxy("imap")).client("127.0.0.9")
            await client.expect(b"* OK IMAP4 ready\\r\\n")
            await client.send(b"a LOGIN joe secret\\r\\n")
            request = await auth_http.admit(imap_backend)
            assert request["Client-IP"] == b"127.0.0.9"
            backend = await imap_backend.logged_in()
            await client.expect(b"a OK logged in\\r\\n")
            await client.send(b"b NOOP\\r\\n")
            await backend.expect(b"b NOOP\\r\\n")

        async def test_a_refusal(mail_proxy, auth_http):
            client = await (await mail_proxy("pop3")).client()
            await client.expect(b"+OK POP3 ready\\r\\n")
            await client.send(b"AUTH PLAIN AGpvZQBzZWNyZXQ=\\r\\n")
            await auth_http.deny("go away")
            await client.expect(b"-ERR go away\\r\\n")

        async def test_tls(mail_proxy):
            directives = "ssl_certificate {certificate}; ssl_certificate_key {certificate};"
            proxy = await mail_proxy("imap", directives, listen="ssl")
            client = await proxy.client()
            await client.start_tls(proxy.trusting(), "mx.example")
            await client.expect(b"* OK IMAP4 ready\\r\\n")

        async def test_another_auth_server(mail_proxy, pop3_backend):
            async def answer(stream):
                await stream.receive_some()
                await stream.send_all(b"HTTP/1.0 200 OK\\r\\nAuth-Status: OK\\r\\nAuth-Server: 127.0.0.1\\r\\n"
                                      b"Auth-Port: %d\\r\\n\\r\\n" % pop3_backend.port)

            async with trio.open_nursery() as nursery:
                listeners = await nursery.start(trio.serve_tcp, answer, 0)
                proxy = await mail_proxy("pop3", auth_port=listeners[0].socket.getsockname()[1])
                client = await proxy.client()
                await client.send(b"AUTH PLAIN AGpvZQBzZWNyZXQ=\\r\\n")
                await pop3_backend.logged_in()
                nursery.cancel_scope.cancel()
    """
    run(inner, text).assert_outcomes(passed=5)


def test_a_failure_shows_the_ladder_without_passwords(inner: pytest.Pytester) -> None:
    text = """
        async def test_wrong(mail_proxy, auth_http, pop3_backend):
            client = await (await mail_proxy("pop3")).client()
            await client.send(b"AUTH PLAIN AGpvZQBzM2NyM3Q=\\r\\n")
            await auth_http.admit(pop3_backend)
            backend = await pop3_backend.logged_in()
            await client.expect(b"+OK POP3 ready\\r\\n-ERR\\r\\n")

        async def test_right(auth_http):
            pass
    """
    done = run(inner, text, "--tb=short")
    done.assert_outcomes(failed=1, passed=1)
    assert done.stdout.str().count("mail ladder") == 1
    done.stdout.fnmatch_lines(
        ["*- mail ladder -*", "*AUTH PLAIN [*][*][*]*", "*GET /auth HTTP/1.0*", "*PASS [*][*][*]*"]
    )
    assert "s3cr3t" not in done.stdout.str()
    assert "AGpvZQBzM2NyM3Q" not in done.stdout.str()


def test_another_proxy_is_named_on_the_command_line_or_in_the_configuration(inner: pytest.Pytester) -> None:
    text = """
        import pytest
        from conformance.targets.base import TargetTrouble

        async def test_it(mail_proxy):
            with pytest.raises(TargetTrouble, match="status 1; it said nothing"):
                await mail_proxy("pop3")
    """
    run(inner, text, "--mail-proxy", "false").assert_outcomes(passed=1)
    inner.makeini("[pytest]\ntrio_mode = true\nmail_proxy = false {conf}\n")
    run(inner, text).assert_outcomes(passed=1)


def test_the_fixtures_work_without_trio_mode(pytester: pytest.Pytester) -> None:
    text = """
        import pytest

        @pytest.mark.trio
        async def test_it(auth_http):
            assert auth_http.url == f"http://127.0.0.1:{auth_http.port}/auth"
    """
    run(pytester, text).assert_outcomes(passed=1)


def test_without_pytest_trio_the_fixtures_say_what_is_missing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_it(dns):\n    pass\ndef test_other():\n    pass\n")
    pytester.makepyfile(pytest_trio="raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    done = pytester.runpytest_subprocess("-p", "conformance.pytest_plugin", "-p", "no:cacheprovider")
    done.assert_outcomes(errors=1, passed=1)
    done.stdout.fnmatch_lines(["*the fixture dns needs pytest-trio: install refproxy[[]pytest[]]*"])


def test_nothing_heavy_is_imported_before_a_fixture_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert not {'h11', 'trustme', 'conformance.stage'} & sys.modules.keys()\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
