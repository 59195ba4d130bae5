"""A proxy that somebody else started is judged where its descriptor says."""

from __future__ import annotations

import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trustme
from click.testing import CliRunner

import conformance.cases.all  # noqa: F401
from conformance.__main__ import main
from conformance.case import registered
from conformance.certificates import Certificates
from conformance.runner import Plan, run
from conformance.serving import serve
from conformance.targets.angie import free_ports, refproxy
from conformance.targets.base import Files, Fixture, TargetTrouble, kept_authority
from conformance.targets.descriptor import EXAMPLE, Descriptor, load_descriptor
from conformance.targets.external import External
from conformance.verdict import Finding, Verdict

CANARIES = [case for id, case in registered().items() if "/canary/" in id]


def described(tmp_path: Path) -> Descriptor:
    """The example on free ports, where nobody listens."""
    auth, dns, *ports = free_ports(6)
    text = EXAMPLE.replace("= 9143", f"= {auth}").replace("= 9153", f"= {dns}")
    for given, port in zip(("2525", "2143", "2110", "2526"), ports, strict=True):
        text = text.replace(f":{given}", f":{port}")
    path = tmp_path / "my.toml"
    path.write_text(text)
    return load_descriptor(path)


async def test_a_running_proxy_is_judged_and_what_it_has_no_profile_for_is_skipped(tmp_path: Path) -> None:
    descriptor = described(tmp_path)
    blocks = [block for block, _ in descriptor.profiles.values()]
    findings: list[Finding] = []
    wanted = [*CANARIES, registered()["smtp/xclient/name-confirmed"]]
    tls = replace(CANARIES[0], id="smtp/a/tls", needs=frozenset({"tls"}))
    other = replace(CANARIES[0], id="smtp/a/other", block=replace(blocks[0], directives="timeout 1s;"))
    around = replace(CANARIES[0], id="smtp/a/main", main="worker_shutdown_timeout 1s;")
    files = Files.make(tmp_path, Certificates.make(trustme.CA()).files())
    async with refproxy().run(Fixture(blocks, descriptor.auth_port, descriptor.dns_port, files, tmp_path)) as running:
        places = {name: (block, running.places[block]) for name, (block, _) in descriptor.profiles.items()}
        target = External(replace(descriptor, profiles=places))
        await run(Plan([*wanted, tls, other, around], target, tmp_path), findings.append)
    by_id = {finding.case.id: finding for finding in findings}
    assert {id: by_id[id].verdict for id in by_id if "/a/" not in id} == dict.fromkeys(
        [case.id for case in wanted], Verdict.PASS
    )
    assert by_id["smtp/a/tls"].reason == "myproxy does not claim tls"
    assert by_id["smtp/a/other"].reason == "myproxy has no profile for smtp over ipv4 with the directives 'timeout 1s;'"
    assert "with directives around the server block: worker_shutdown_timeout 1s;" in by_id["smtp/a/main"].reason


async def test_a_proxy_that_does_not_listen_is_named(tmp_path: Path) -> None:
    target = External(described(tmp_path))
    with pytest.raises(TargetTrouble, match=r"myproxy does not accept .* \(profile smtp\): Connection refused; is it"):
        await run(Plan(CANARIES[:1], target, tmp_path), lambda finding: None)


@pytest.mark.parametrize("whose", ["auth", "name"])
async def test_a_port_that_is_taken_is_named(tmp_path: Path, whose: str) -> None:
    descriptor = described(tmp_path)
    port = descriptor.auth_port if whose == "auth" else descriptor.dns_port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(TargetTrouble, match=f"port {port} of the {whose} server is not free: Address already in use"),
    ):
        await run(Plan(CANARIES, External(descriptor), tmp_path), lambda finding: None)


async def test_serve_tells_what_to_configure_and_what_comes(tmp_path: Path) -> None:
    descriptor = described(tmp_path)
    send, receive = trio.open_memory_channel[str](100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, descriptor, send.send_nowait)
        told = await receive.receive() + await receive.receive()
        stream = await trio.open_tcp_stream("127.0.0.1", descriptor.auth_port)
        await stream.send_all(b"GET /auth HTTP/1.0\r\nClient-IP: 192.0.2.1\r\n\r\n")
        assert await receive.receive() == "auth request from b'192.0.2.1'"
        await stream.aclose()
        signal.raise_signal(signal.SIGINT)
    assert f"http://127.0.0.1:{descriptor.auth_port}/auth" in told
    port = descriptor.profiles["smtp-resolving"][1].port
    assert f"profile smtp-resolving: smtp at 127.0.0.1:{port}, which" in told
    assert f"protocol smtp; resolver 127.0.0.1:{descriptor.dns_port}; }}" in told
    assert (descriptor.directory / "certificate.pem").exists()


def test_the_authority_stays_the_same(tmp_path: Path) -> None:
    first, second = (kept_authority(tmp_path / "files").cert_pem.bytes() for _ in range(2))
    assert first == second
    assert (tmp_path / "files" / "ca-key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--target", "external"], "--target external needs --descriptor FILE"),
        (["run", "--target", "external", "--descriptor", "/nowhere/x.toml"], "/nowhere/x.toml: No such file"),
        (["serve"], "serve needs --descriptor FILE; `serve --example` prints one"),
    ],
)
def test_a_missing_descriptor_is_told(arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_an_example_is_printed() -> None:
    done = CliRunner().invoke(main, ["serve", "--example", "--only", "smtp/xclient/*"])
    assert done.exit_code == 0
    assert 'directives = "resolver {dns};"' in done.output
