"""The command line: run, merge, list, rules, coverage, targets, serve.

Modules are imported where they are used, so that `list` is quick. Exit status: 0 fine, 1 conformance failures, 2 usage,
set-up or target trouble, 3 nothing was judged, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from conformance.rulebook import Level
from refproxy import __version__

if TYPE_CHECKING:
    from conformance.case import Case
    from conformance.targets.descriptor import Descriptor

__all__ = ["main"]

NAME = "refproxy-conformance"
TROUBLE = 2
TARGETS = ("refproxy", "nginx", "angie", "dovecot", "command", "external")

Command = TypeVar("Command", bound=Callable[..., None])


def selection_options(command: Command) -> Command:
    """The options that select cases."""
    options = (
        click.option("--only", metavar="GLOB", multiple=True, help="Cases with these ids."),
        click.option("--exclude", metavar="GLOB", multiple=True, help="But not these."),
        click.option("--rule", "rules", metavar="ID", multiple=True, help="Cases that check these rules."),
        click.option("--directive", "directives", metavar="NAME", multiple=True, help="Cases about these directives."),
        click.option("--level", type=click.Choice([level.value for level in Level]), help="Cases of this level."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def report_option(format: str, use: str) -> Callable[[Command], Command]:
    """The option that asks for a report."""
    return click.option(f"--{format}", type=click.Path(path_type=Path), metavar="FILE", help=f"Write a report {use}.")


def chosen(**paths: Path | None) -> list[tuple[str, Path]]:
    """The reports that were asked for."""
    return [(name, path) for name, path in paths.items() if path is not None]


@click.group(name=NAME)
@click.version_option(__version__, prog_name=NAME)
def main() -> None:
    """Judge a mail proxy: play client, backends, auth server and DNS around it, and hold it against the rules."""


@main.command()
@click.option("--target", "name", required=True, type=click.Choice(TARGETS), help="What to judge; see `targets`.")
@click.option(
    "--binary", metavar="FILE", help="The program of nginx, angie or dovecot, instead of the one on the PATH."
)
@click.option(
    "--command",
    "template",
    metavar="WORDS",
    help="For the target `command`: how to start it in the foreground, with {prefix} for its directory and {conf} for "
    "its configuration, such as 'myproxy -p {prefix} -c {conf}'.",
)
@click.option(
    "--descriptor",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="For the target `external`: a TOML file that says what runs where; see `serve`.",
)
@selection_options
@click.option("-j", "jobs", default=64, show_default=True, metavar="COUNT", help="How many cases at once.")
@click.option(
    "--timeout-scale",
    "scale",
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="How much more patience to have with the target, on a slow machine.",
)
@click.option(
    "--expect",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A TOML file of known deviations: a table for each case id, with a reason and a link. They do not "
    "fail the run; a case that passes although it is in the file does.",
)
@click.option("--rerun-failed", is_flag=True, help="Only cases that failed when they last ran against this target.")
@report_option("json", "for `merge` and for programs")
@report_option("junit", "for what shows the tests of a build")
@report_option("markdown", "for a pull request")
@report_option("html", "as one page: rules by targets, cases, ladders")
@click.option("-v", "verbose", is_flag=True, help="Tell passes and skips, too.")
def run(
    name: str,
    binary: str | None,
    template: str | None,
    descriptor: Path | None,
    jobs: int,
    scale: float,
    expect: Path | None,
    rerun_failed: bool,
    json: Path | None,
    junit: Path | None,
    markdown: Path | None,
    html: Path | None,
    verbose: bool,
    **selection: object,
) -> None:
    """Run cases against a target.

    All cases, or those that fit every option that selects. Exit status: 0 fine, 1 the target fails cases, 2 it
    does not start, dies or serves no plain session, or the command is wrong, 3 nothing was judged, 130 interrupted.
    """
    from conformance.deviations import load_expected
    from conformance.judging import Order, judge_target
    from conformance.report.files import Format
    from conformance.report.last import failed_cases
    from conformance.selection import Unknown
    from conformance.targets.base import TargetTrouble
    from conformance.targets.known import make_target

    try:
        target = make_target(name, binary=binary, template=template, descriptor=descriptor)
        expected = {} if expect is None else load_expected(expect, all_cases())
    except (TargetTrouble, Unknown) as trouble:
        fail(str(trouble))
    target.patience = scale
    among = failed_cases(target.name) if rerun_failed else None
    if among is not None and not among:
        fail(f"no case failed when it last ran against {target.name}")
    cases = selected(among=among, **selection)
    reports = {Format(name): path for name, path in chosen(json=json, junit=junit, markdown=markdown, html=html)}
    sys.exit(judge_target(Order(cases, target, jobs, scale, expected, reports, verbose)))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@report_option("html", "as one page: rules by targets, cases, ladders")
@report_option("markdown", "for a pull request")
@report_option("junit", "for what shows the tests of a build")
def merge(files: tuple[Path, ...], html: Path | None, markdown: Path | None, junit: Path | None) -> None:
    """Make one report of several runs.

    FILES are what `run --json` wrote, for different targets or versions.
    """
    from conformance.report.files import Format, write_reports
    from conformance.report.results import from_json

    paths = {Format(name): path for name, path in chosen(html=html, markdown=markdown, junit=junit)}
    if not paths:
        fail("say what to make: --html, --markdown or --junit, each with the name of a file")
    all_results = []
    for file in files:
        try:
            all_results.append(from_json(file.read_text(encoding="utf-8")))
        except OSError as error:
            fail(f"{file}: {error.strerror}")
        except ValueError as error:
            fail(f"{file}: {error}")
    try:
        write_reports(paths, all_results)
    except OSError as error:
        fail(str(error))


@main.command("list")
@selection_options
def list_(**selection: object) -> None:
    """List cases: id, level, rules, title.

    Levels: a MUST or SHOULD of an RFC binds every proxy, "vendor" is what Angie and nginx do, "ours" what
    refproxy does.
    """
    for case in selected(**selection):
        click.echo(f"{case.id}  [{case.level.value}: {' '.join(case.rules)}]  {case.title}")


@main.command()
@click.argument("ids", nargs=-1)
def rules(ids: tuple[str, ...]) -> None:
    """Print the rule book, or some of its rules, such as SMTP-12: level, source, text, and why it matters."""
    from conformance.rulebook import load_rules

    book = load_rules()
    for id in ids or book:
        if id not in book:
            fail(f'no rule is called "{id}"')
        rule = book[id]
        source = f"; {rule.source}" if rule.source else ""
        reason = f"\n  Why: {rule.reason}" if rule.reason else ""
        click.echo(f"{id} ({rule.level.value}{source}; {rule.where})\n  {rule.text}{reason}\n")


@main.command()
def targets() -> None:
    """List what can be judged: whether it is there, its version, what it claims."""
    from conformance.targets.base import TargetTrouble
    from conformance.targets.known import BY_NAME

    for name, make in BY_NAME.items():
        try:
            target = make()
        except TargetTrouble as trouble:
            click.echo(f"{name}: not found, {trouble}")
            continue
        click.echo(f"{name}: {target.version}")
        click.echo(f"  claims {', '.join(sorted(target.claims))}")
        click.echo(
            f"  rules that bind it: {', '.join(['must', 'should', *sorted(level.value for level in target.dialects)])}"
        )
    click.echo("command: any program that reads Angie's configuration; run it with --command")
    click.echo("external: a proxy that runs already; run it with --descriptor, see `serve`")


@main.command()
@selection_options
@click.option("--descriptor", type=click.Path(path_type=Path), metavar="FILE", help="What runs where, in TOML.")
@click.option("--example", is_flag=True, help="Print a descriptor with a profile for each block of the selected cases.")
def serve(descriptor: Path | None, example: bool, **selection: object) -> None:
    """Help to configure a proxy that cannot be started here.

    Tells for each profile of the descriptor what to configure, and serves as auth server and DNS on its ports until
    interrupted, so that the proxy can be started. Then judge it with `run --target external --descriptor FILE`.
    """
    import trio

    from conformance.serving import serve as serve_descriptor
    from conformance.targets.base import TargetTrouble
    from conformance.targets.descriptor import example_of, normal

    if example:
        blocks = {normal(case.block): case.block for case in selected(**selection) if not case.main + case.mail}
        click.echo(example_of(blocks.values()))
        return
    if descriptor is None:
        fail("serve needs --descriptor FILE; `serve --example` prints one")
    try:
        trio.run(serve_descriptor, described(descriptor), click.echo)
    except TargetTrouble as trouble:
        fail(str(trouble))


@main.command()
@click.option("--all", "everything", is_flag=True, help="Tell the cases of every rule and directive, too.")
@click.option(
    "--reasons", type=click.Path(path_type=Path), metavar="FILE", help="The reasons in TOML, instead of this suite's."
)
def coverage(everything: bool, reasons: Path | None) -> None:
    """Tell which rules and directives no case exercises.

    Fails when one has neither a case nor a written reason, and when one has both.
    """
    from conformance.coverage import REASONS, cover, load_reasons
    from conformance.rulebook import load_rules
    from conformance.selection import Unknown
    from refproxy.config.directives import BY_NAME

    names = [*load_rules(), *BY_NAME]
    try:
        found = cover(names, all_cases().values(), load_reasons(reasons or REASONS, names))
    except Unknown as unknown:
        fail(str(unknown))
    for name, ids in found.cases.items():
        if everything:
            click.echo(f"{name}: {' '.join(ids) or found.reasons.get(name, 'no case and no reason')}")
    for title, group in (("rules", load_rules()), ("directives", BY_NAME)):
        with_case = sum(bool(found.cases[name]) for name in group)
        with_reason = sum(name in found.reasons for name in group)
        click.echo(f"{len(group)} {title}: {with_case} with a case, {with_reason} with a reason for having none")
    for complaint, some in (
        ("neither a case nor a reason", found.unexplained),
        ("a case, so the reason for having none must go", found.outdated),
    ):
        if some:
            click.echo(f"{len(some)} with {complaint}: {' '.join(some)}")
    sys.exit(1 if found.unexplained or found.outdated else 0)


def all_cases() -> Mapping[str, Case]:
    """Every case by id."""
    import conformance.cases.all  # noqa: F401
    from conformance.case import registered

    return registered()


def selected(**options: object) -> list[Case]:
    """The selected cases, or the end with an error."""
    from conformance.selection import Selection, Unknown, select

    level = options.pop("level")
    try:
        return select(all_cases(), Selection(**options, level=Level(level) if level else None))  # type: ignore[arg-type]
    except Unknown as unknown:
        fail(str(unknown))


def described(path: Path) -> Descriptor:
    """The descriptor in a file, or the end with an error."""
    from conformance.targets.descriptor import DescriptorError, load_descriptor

    try:
        return load_descriptor(path)
    except DescriptorError as error:
        fail(str(error))


def fail(text: str) -> NoReturn:
    """End with an error."""
    click.echo(f"{NAME}: {text}", err=True)
    sys.exit(TROUBLE)


if __name__ == "__main__":
    main()
