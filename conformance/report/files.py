"""The kinds of files that results can be written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path

from conformance.report.html import to_html
from conformance.report.junit import to_junit
from conformance.report.markdown import to_markdown
from conformance.report.results import Results, to_json

__all__ = ["Format", "write_reports"]


class Format(Enum):
    """A kind of file, by the name of its option."""

    JSON = "json"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    HTML = "html"


WRITERS: Mapping[Format, Callable[[Sequence[Results]], str]] = {
    Format.JSON: lambda all_results: "".join(map(to_json, all_results)),
    Format.JUNIT: to_junit,
    Format.MARKDOWN: to_markdown,
    Format.HTML: to_html,
}


def write_reports(paths: Mapping[Format, Path], all_results: Sequence[Results]) -> None:
    """Write each report; only one target's results can be one JSON file. Raises OSError."""
    for format, path in paths.items():
        path.write_text(WRITERS[format](all_results), encoding="utf-8")
