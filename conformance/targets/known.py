"""The targets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from conformance.targets import angie, dovecot
from conformance.targets.base import Target, TargetTrouble
from conformance.targets.descriptor import DescriptorError, load_descriptor
from conformance.targets.external import External

__all__ = ["BY_NAME", "make_target"]

BY_NAME: Mapping[str, Callable[[], Target]] = {
    "refproxy": angie.refproxy,
    "nginx": angie.nginx,
    "angie": angie.angie,
    "dovecot": dovecot.dovecot,
}
"""Those that need nothing more than their name, if they are installed."""


def make_target(
    name: str, *, binary: str | None = None, template: str | None = None, descriptor: Path | None = None
) -> Target:
    """The target of a name. Raises TargetTrouble, whose text helps."""
    match name:
        case "nginx":
            return angie.nginx(binary or "nginx")
        case "angie":
            return angie.angie(binary or "angie")
        case "dovecot":
            return dovecot.dovecot(binary or "dovecot")
        case "command":
            if template is None:
                raise TargetTrouble("--target command needs --command 'PROGRAM -p {prefix} -c {conf}'")
            return angie.command(template)
        case "external":
            if descriptor is None:
                raise TargetTrouble("--target external needs --descriptor FILE; `serve --example` prints one")
            try:
                return External(load_descriptor(descriptor))
            except DescriptorError as error:
                raise TargetTrouble(str(error)) from error
        case _:
            return BY_NAME[name]()
