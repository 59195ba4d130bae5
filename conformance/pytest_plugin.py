"""A pytest plugin: the suite's peers as fixtures, to test a mail proxy, a mail server behind one, or an auth server.

Every fixture listens on a free port of 127.0.0.1 and belongs to one test, an async function that pytest-trio runs. What
crossed is attached to a test that fails, drawn as a ladder.

    from conformance.stage import AuthHttp, Backend, MailProxy

    async def test_a_user_gets_in(mail_proxy: MailProxy, auth_http: AuthHttp, pop3_backend: Backend) -> None:
        proxy = await mail_proxy("pop3")
        client = await proxy.client()
        await client.expect(b"+OK POP3 ready\\r\\n")
        await client.send(b"USER joe\\r\\n")
        await client.expect(b"+OK\\r\\n")
        await client.send(b"PASS secret\\r\\n")
        request = await auth_http.admit(pop3_backend)
        assert request.user == b"joe"
        await pop3_backend.logged_in()
        await client.expect(b"+OK logged in\\r\\n")

* `auth_http`: an auth server; `url`, `port`; `await request()`, `admit(backend or port)`, `deny(reason)`.
* `smtp_backend`, `imap_backend`, `pop3_backend`: `port`; `await connection()` to play from the first octet, or
  `await logged_in()` after a login.
* `dns`: a name server; `port`, `say(name, type, *records)`, `asked`.
* `mail_proxy`: starts a proxy around these, `await mail_proxy(protocol, directives)`; then `await proxy.client()`.
* `mail_ladder`: the record of the test. Its `secrets` are hidden, and so are the passwords that reach the auth server.

**Your own proxy**: start it in the test with the ports of `auth_http` and `dns`; or, if it reads Angie's language, let
`mail_proxy` start it: `pytest --mail-proxy 'myproxy -p {prefix} -c {conf}'`, or `mail_proxy = ...` in the configuration
of pytest. `nginx` and `angie` are known by name; without the option it is refproxy.
**Your own mail server**: `await auth_http.admit(PORT)` sends users to it.
**Your own auth server**: `await mail_proxy("imap", auth_port=PORT)`.

Install `refproxy[pytest]`. Nothing heavy is imported before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import trio

    from conformance.stage import AuthHttp, Backend, Dns, MailProxy, Proxy
    from conformance.targets.base import Target
    from conformance.transcript import Transcript

try:
    from pytest_trio import trio_fixture as _trio_fixture  # type: ignore[import-untyped]
except ImportError:

    def _trio_fixture(func: Callable[..., Any]) -> Any:
        """A fixture that says what is missing."""

        @pytest.fixture(name=func.__name__)
        def missing() -> None:
            pytest.fail(f"the fixture {func.__name__} needs pytest-trio: install refproxy[pytest]", pytrace=False)

        return missing


def trio_fixture(function: Callable[..., Any]) -> Any:
    """A fixture of pytest-trio, also where its trio_mode is off."""
    return _trio_fixture(function)


__all__: list[str] = []

OPTION = "mail_proxy"
LADDER: pytest.StashKey[Transcript] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option that names the proxy."""
    text = (
        "The proxy that the fixture mail_proxy starts: refproxy, nginx, angie, or a command with {prefix} and {conf}."
    )
    parser.getgroup("refproxy").addoption("--mail-proxy", metavar="PROXY", help=text)
    parser.addini(OPTION, text, default="refproxy")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the ladder to a report of failure."""
    report = yield
    transcript = item.stash.get(LADDER, None)
    if report.failed and transcript is not None and transcript.entries:
        report.sections.append(("mail ladder", transcript.draw(item.nodeid)))
    return report


@pytest.fixture
def mail_ladder(request: pytest.FixtureRequest) -> Transcript:
    """What crossed in this test, which is shown when it fails."""
    from conformance.transcript import Transcript

    transcript = Transcript()
    request.node.stash[LADDER] = transcript
    return transcript


@trio_fixture
async def auth_http(nursery: trio.Nursery, mail_ladder: Transcript) -> AsyncIterator[AuthHttp]:
    """An auth server."""
    from conformance.stage import AuthHttp

    server = AuthHttp(mail_ladder)
    await nursery.start(server.serve)
    yield server


async def _backend(protocol: str, nursery: trio.Nursery, transcript: Transcript) -> Backend:
    from conformance.stage import Backend

    backend = Backend(protocol, transcript)
    await nursery.start(backend.serve)
    return backend


@trio_fixture
async def smtp_backend(nursery: trio.Nursery, mail_ladder: Transcript) -> AsyncIterator[Backend]:
    """A mail server that the proxy may relay SMTP to."""
    yield await _backend("smtp", nursery, mail_ladder)


@trio_fixture
async def imap_backend(nursery: trio.Nursery, mail_ladder: Transcript) -> AsyncIterator[Backend]:
    """A mail server that the proxy may relay IMAP to."""
    yield await _backend("imap", nursery, mail_ladder)


@trio_fixture
async def pop3_backend(nursery: trio.Nursery, mail_ladder: Transcript) -> AsyncIterator[Backend]:
    """A mail server that the proxy may relay POP3 to."""
    yield await _backend("pop3", nursery, mail_ladder)


@trio_fixture
async def dns(nursery: trio.Nursery) -> AsyncIterator[Dns]:
    """A name server."""
    from conformance.stage import Dns

    server = Dns()
    await nursery.start(server.serve)
    yield server


@trio_fixture
async def mail_proxy(
    nursery: trio.Nursery,
    auth_http: AuthHttp,
    dns: Dns,
    mail_ladder: Transcript,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> AsyncIterator[MailProxy]:
    """Starts the proxy, as often as the test wants."""
    from conformance.case import Block
    from conformance.stage import run_proxy

    target = _target(pytestconfig)
    started = 0

    async def start(protocol: str, directives: str = "", *, listen: str = "", auth_port: int | None = None) -> Proxy:
        nonlocal started
        started += 1
        directory = tmp_path / f"mail-proxy-{started}"
        ports = (auth_http.port if auth_port is None else auth_port, dns.port)
        block = Block(protocol, directives, listen)
        proxy: Proxy = await nursery.start(run_proxy, target, block, ports, directory, mail_ladder)
        return proxy

    yield start


def _target(config: pytest.Config) -> Target:
    from conformance.targets.known import BY_NAME, make_target

    name = config.getoption(OPTION) or config.getini(OPTION)
    return make_target(name) if name in BY_NAME else make_target("command", template=name)
