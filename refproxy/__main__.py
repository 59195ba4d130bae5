"""The command line: run, test, dump, directives and demo.

Modules are imported where they are used, so that a command loads only what it needs. Faults of the configuration end
with status 1, of the command line with status 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from refproxy import __version__

if TYPE_CHECKING:
    from refproxy.config.settings import BackendTlsSettings, Settings, TlsSettings
    from refproxy.errors import ConfigError, TlsFault

__all__ = ["main"]

NAME = "refproxy"

Command = TypeVar("Command", bound=Callable[..., None])


def configuration_options(command: Command) -> Command:
    """The options of every command that reads a configuration file (CONF-46)."""
    path = click.Path(path_type=Path)
    options = (
        click.option("-c", "file", metavar="FILE", type=path, required=True, help="The configuration file."),
        click.option("-p", "prefix", metavar="PREFIX", type=path, help="The directory of relative names in it."),
        click.option("-g", "globals_", metavar="DIRECTIVES", default="", help="Main directives to put in front."),
    )
    for option in reversed(options):
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group(name=NAME)
@click.version_option(__version__, prog_name=NAME)
def main() -> None:
    """A readable reference mail proxy for SMTP, IMAP and POP3 that speaks Angie's configuration language."""


@main.command()
@configuration_options
def run(file: Path, prefix: Path | None, globals_: str) -> None:
    """Run the proxy in the foreground."""
    from refproxy.config.load import load
    from refproxy.errors import ConfigError
    from refproxy.master import serve

    try:
        sys.exit(serve(lambda: load(file, check_tls=check_tls, prefix=prefix, globals_=globals_)))
    except ConfigError as error:
        report(error)
        sys.exit(1)


@main.command()
@configuration_options
@click.option("-q", "quiet", is_flag=True, help="Say nothing when all is well.")
def test(file: Path, prefix: Path | None, globals_: str, quiet: bool) -> None:
    """Check a configuration file."""
    settings = load_or_exit(file, prefix, globals_, testing=True)
    if not quiet:
        say(f"the configuration file {settings.file} syntax is ok")
        say(f"configuration file {settings.file} test is successful")


@main.command()
@configuration_options
@json_option
def dump(file: Path, prefix: Path | None, globals_: str, as_json: bool) -> None:
    """Show the effective settings of every server, with secrets masked."""
    from refproxy.config.show import dump_json, dump_text

    settings = load_or_exit(file, prefix, globals_)
    show(dump_json(settings) if as_json else dump_text(settings))


@main.command()
@json_option
def directives(as_json: bool) -> None:
    """List all directives."""
    from refproxy.config.show import directives_json, directives_text

    show(directives_json() if as_json else directives_text())


@main.command()
@click.option("--once", is_flag=True, help="End after the three example sessions.")
def demo(once: bool) -> None:
    """Try the proxy between an embedded world of servers."""
    from refproxy.demo import main as demo_main

    sys.exit(demo_main(once))


def load_or_exit(file: Path, prefix: Path | None, globals_: str, *, testing: bool = False) -> Settings:
    """Read a configuration and print its warnings, or print its faults and end."""
    from refproxy.config.load import absolute, load
    from refproxy.errors import ConfigError

    try:
        settings = load(file, check_tls=check_tls, prefix=prefix, globals_=globals_)
    except ConfigError as error:
        report(error)
        if testing:
            say(f"configuration file {absolute(file, prefix)} test failed")
        sys.exit(1)
    for line in settings.warnings:
        say(line)
    return settings


def check_tls(settings: TlsSettings | BackendTlsSettings) -> Sequence[TlsFault]:
    """Try TLS settings with the TLS library, which a configuration without TLS does not need."""
    from refproxy.net.tls import check

    return check.check_tls(settings)


def report(error: ConfigError) -> None:
    """Print every fault that an error stands for, one in a line."""
    for line in str(error).splitlines():
        say(f"[emerg] {line}")


def say(text: str) -> None:
    """Print a line for the operator."""
    click.echo(f"{NAME}: {text}", err=True)


def show(text: str) -> None:
    """Print the result of a command; names of files keep their octets."""
    click.echo(text.encode("utf-8", "surrogateescape"), nl=False)


if __name__ == "__main__":
    main()
