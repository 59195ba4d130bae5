"""The command line: what it prints, and with which status it ends (CONF-14, CONF-46)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

from refproxy import __version__
from refproxy.__main__ import main
from refproxy.config.settings import Settings
from refproxy.errors import ConfigError

GOOD = "daemon off; events { } mail { auth_http 127.0.0.1:9000; server { listen 127.0.0.1:2525; protocol smtp; } }"
BAD = "events { } mail { timeout x;\nxclient 5; }"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def good(tmp_path: Path) -> str:
    (tmp_path / "good.conf").write_text(GOOD)
    return str(tmp_path / "good.conf")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    (tmp_path / "bad.conf").write_text(BAD)
    return str(tmp_path / "bad.conf")


def bad_lines(path: str) -> list[str]:
    return [
        f'refproxy: [emerg] "timeout" directive invalid value in {path}:1: '
        'found "x", expected a time, as in 30s, 1m30s or 500ms',
        f'refproxy: [emerg] invalid value "5" in "xclient" directive, it must be "on" or "off" in {path}:2',
    ]


def test_a_good_file_passes_the_test(good: str) -> None:
    result = invoke("test", "-c", good)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        f'refproxy: [notice] "daemon" directive is ignored in {good}:1',
        f"refproxy: the configuration file {good} syntax is ok",
        f"refproxy: configuration file {good} test is successful",
    ]


def test_a_quiet_test_leaves_out_the_success(good: str) -> None:
    result = invoke("test", "-q", "-c", good)
    assert result.exit_code == 0
    assert "successful" not in result.stderr
    assert "syntax is ok" not in result.stderr


def test_a_bad_file_fails_the_test_with_all_its_faults(bad: str) -> None:
    result = invoke("test", "-c", bad)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [*bad_lines(bad), f"refproxy: configuration file {bad} test failed"]


def test_a_missing_file_fails_the_test(tmp_path: Path) -> None:
    path = tmp_path / "nope"
    result = invoke("test", "-c", str(path))
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f'refproxy: [emerg] open() "{path}" failed (2: No such file or directory)',
        f"refproxy: configuration file {path} test failed",
    ]


def test_prefix_and_global_directives_count(good: str) -> None:
    directory, name = Path(good).parent, Path(good).name
    result = invoke("dump", "--json", "-p", str(directory), "-c", name, "-g", "pid run.pid;")
    assert json.loads(result.stdout)["pid"] == f"{directory}/run.pid"
    failed = invoke("test", "-c", good, "-g", "pid")
    assert failed.stderr.splitlines()[0] == (
        'refproxy: [emerg] unexpected end of parameter, expecting ";" in command line'
    )


def test_dump_shows_the_settings_on_standard_output(good: str, bad: str) -> None:
    text = invoke("dump", "-c", good)
    assert text.exit_code == 0
    assert "        listen 127.0.0.1:2525;\n" in text.stdout
    assert json.loads(invoke("dump", "--json", "-c", good).stdout)["servers"][0]["protocol"] == "smtp"
    failed = invoke("dump", "-c", bad)
    assert (failed.exit_code, failed.stdout) == (1, "")
    assert failed.stderr.splitlines() == bad_lines(bad)


def test_directives_lists_the_table() -> None:
    assert "xclient  (proxy, " in invoke("directives").stdout
    assert any(row["name"] == "xclient" for row in json.loads(invoke("directives", "--json").stdout))


@pytest.mark.parametrize(
    "arguments", [("test",), ("run",), ("dump",), ("nonsense",), ("test", "-x"), ("directives", "more"), ("demo", "-c")]
)
def test_wrong_usage_ends_with_status_two(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_required_file_is_asked_for() -> None:
    assert "Missing option '-c'" in invoke("test").stderr


def test_the_version_is_known() -> None:
    assert invoke("--version").stdout == f"refproxy, version {__version__}\n"


# -- run and demo, with the daemon replaced ------------------------------------------------------------------------


def replace_module(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)


def test_run_hands_a_loader_to_the_daemon(good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Settings] = []

    def serve(load: Callable[[], Settings]) -> int:
        loaded.extend([load(), load()])
        return 7

    replace_module(monkeypatch, "refproxy.master", serve=serve)
    assert invoke("run", "-c", good).exit_code == 7
    assert loaded[0] == loaded[1]
    assert loaded[0].file == good


def test_run_prints_the_faults_that_stop_it(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(load: Callable[[], Settings]) -> int:
        load()
        return 0

    replace_module(monkeypatch, "refproxy.master", serve=serve)
    result = invoke("run", "-c", bad)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == bad_lines(bad)


def test_run_prints_what_stops_the_daemon_later(good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """CORE-10: messages of the master look the same."""

    def serve(load: Callable[[], Settings]) -> int:
        raise ConfigError("still could not bind()")

    replace_module(monkeypatch, "refproxy.master", serve=serve)
    result = invoke("run", "-c", good)
    assert (result.exit_code, result.stderr) == (1, "refproxy: [emerg] still could not bind()\n")


def test_demo_ends_with_the_status_of_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def demo_main(once: bool) -> int:
        seen.append(once)
        return 3

    replace_module(monkeypatch, "refproxy.demo", main=demo_main)
    assert invoke("demo", "--once").exit_code == 3
    assert invoke("demo").exit_code == 3
    assert seen == [True, False]


@pytest.mark.slow
def test_the_module_runs_as_a_program_without_loading_the_daemon(good: str) -> None:
    code = (
        "import sys; from refproxy.__main__ import main\n"
        f"sys.argv = ['refproxy', 'test', '-q', '-c', {good!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'trio' not in sys.modules and 'refproxy.config.show' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    version = subprocess.run([sys.executable, "-m", "refproxy", "--version"], check=True, capture_output=True)
    assert version.stdout.startswith(b"refproxy, version")
