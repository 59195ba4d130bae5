"""Ways to make a changed function of a function: by editing its text, or by doing something before or after it.

Edits say exactly which words of the source are wrong in a mutant, and fail when the source has moved on: a mutant must
not turn into a healthy proxy unnoticed.
"""

from __future__ import annotations
import __future__

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

__all__ = ["constantly", "edited", "ruled", "value"]

Edit = tuple[str, str]


def edited(*edits: Edit) -> Callable[[Any], Any]:
    """A change that replaces texts in the source of a function, method or property, one after the other.

    Raises ValueError for a text that is not there exactly once.
    """

    def change(proper: Any) -> Any:
        function: Any = proper.fget if isinstance(proper, property) else proper
        function = inspect.unwrap(function)
        source = textwrap.dedent(inspect.getsource(function))
        for old, new in edits:
            if source.count(old) != 1:
                raise ValueError(f"{function.__qualname__} has {source.count(old)} times {old!r}")
            source = source.replace(old, new)
        return _compiled(source, function)

    return change


def _compiled(source: str, function: Any) -> Any:
    """The function that a source with its decorators defines, where `function` stood."""
    free = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    # What the function takes from around it (`__class__`, for `super()`) are parameters of one around the new one.
    text = f"def around({', '.join(free)}):\n{textwrap.indent(source, '    ')}\n    return {function.__name__}"
    flags = __future__.annotations.compiler_flag
    names: dict[str, Any] = {}
    exec(compile(text, "<mutant>", "exec", flags), function.__globals__, names)  # noqa: S102 (that is the point)
    return names["around"](*(cell.cell_contents for cell in free.values()))


def constantly(result: Any) -> Callable[[Any], Any]:
    """A change to a function that returns the same whatever it is asked."""
    return lambda _: lambda *args, **kwargs: result


def value(new: Any) -> Callable[[Any], Any]:
    """A change of a constant."""
    return lambda _: new


def ruled(module: Any, proper: Any, change: Callable[[Any], Any]) -> tuple[object, str, Callable[[Any], Any]]:
    """A change of a rule for commands, where the module's table COMMANDS has it."""

    def with_another(table: dict[Any, Any]) -> dict[Any, Any]:
        new = change(proper)
        return {
            key: with_another(rule) if isinstance(rule, dict) else new if rule is proper else rule
            for key, rule in table.items()
        }

    return module, "COMMANDS", with_another
