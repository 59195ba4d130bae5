"""From the octets of a configuration file to statements, and back.

A file is words, `;`, `{` and `}` (CONF-1 to CONF-8). Words make statements, and a statement ends with `;` or opens a
block (CONF-9). Only blocks the caller knows are read; the inside of any other block is skipped token by token, so that
`http` and `stream` blocks of a real file may hold anything (CONF-41).

A fault stands in the tree, at the place where Angie would have stopped reading. After a fault of syntax the rest of
that file is unknown; after an `include` that failed the including file goes on.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from refproxy.config.settings import Where
from refproxy.errors import ConfigError

__all__ = ["COMMAND_LINE", "Item", "Opens", "Statement", "TreeReader", "format_tree", "place", "printable", "quote"]

WORD_LIMIT = 4096
"""Octets of a word, as written (CONF-7). Comments have no limit."""

COMMAND_LINE = "command line"
"""Stands for the file name in the position of `-g` directives (CONF-46)."""

BOM = b"\xef\xbb\xbf"
INCLUDE_DEPTH = 100  # files inside files; a bound of ours, Angie stops when it has no file descriptors left
TOO_MANY_OPEN_FILES = 24  # EMFILE: how Angie notices that a file includes itself (CONF-19)

Opens = Callable[[str, str], str | None]
"""Given a context and a block's name: the context inside the block, or None to skip it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One directive; `block` is None after `;`. `where` is the line of the octet that completed it (CONF-11)."""

    name: bytes
    args: tuple[bytes, ...]
    block: tuple[Item, ...] | None
    where: Where = field(compare=False)


Item = Statement | ConfigError


def printable(octets: bytes) -> str:
    """Octets as text for a message: UTF-8 where it is, `\\xNN` for everything a terminal could misread."""
    text = octets.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def place(where: Where) -> str:
    """The position as messages show it: `FILE:LINE`, or `command line`."""
    return where.file if where.file == COMMAND_LINE else str(where)


# -- words ---------------------------------------------------------------------------------------------------------


class Mark(Enum):
    """The tokens that are not words."""

    SEMICOLON = ";"
    OPEN = "{"
    CLOSE = "}"
    END = "end of file"


MARKS = {ord(mark.value): mark for mark in (Mark.SEMICOLON, Mark.OPEN, Mark.CLOSE)}

SPACE = re.compile(rb"[ \t\r\n]*+(?:#[^\n]*+[ \t\r\n]*+)*+")  # white space and comments (CONF-2)
BARE = re.compile(rb"(?:\\.|\$\{*+|[^ \t\r\n;{\\$])*+", re.DOTALL)  # CONF-1, CONF-5, CONF-6
QUOTED = {  # CONF-3, without the opening quote
    ord('"'): re.compile(rb'(?:\\.|[^"\\])*+', re.DOTALL),
    ord("'"): re.compile(rb"(?:\\.|[^'\\])*+", re.DOTALL),
}
AFTER_QUOTE = b" \t\r\n;{)"  # CONF-4
ESCAPE = re.compile(rb"\\([\"'\\trn])")
UNESCAPED = {b"t": b"\t", b"r": b"\r", b"n": b"\n"}


def unescape(raw: bytes) -> bytes:
    """Rewrite the escapes that mean something; any other backslash stays, with the octet behind it (CONF-5)."""
    return ESCAPE.sub(lambda match: UNESCAPED.get(match[1], match[1]), raw)


def quote(word: bytes) -> bytes:
    """Write a word so that it is read back unchanged, in quotes only where it needs them."""
    if word and not word.startswith(BOM) and re.fullmatch(rb"[^\s;{}#$\"'\\)\x00-\x1f]+", word):
        return word
    return b'"' + word.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


class Lexer:
    """Hands out the tokens of one text, in order; raises ConfigError at the first that cannot be one."""

    def __init__(self, data: bytes, file: str) -> None:
        self.data, self.file = data, file
        self.position = len(BOM) if data.startswith(BOM) else 0
        self.line = 1

    @property
    def where(self) -> Where:
        return Where(self.file, self.line)

    def fault(self, text: str) -> ConfigError:
        return ConfigError(text, place(self.where))

    def next(self) -> bytes | Mark:
        """The next word, escapes rewritten, or the next mark. After the last comes Mark.END for ever."""
        self._advance(SPACE)
        if self.position >= len(self.data):
            return Mark.END
        first = self.data[self.position]
        if first in MARKS:
            self.position += 1
            return MARKS[first]
        return self._quoted(first) if first in QUOTED else self._bare()

    def end_inside_statement(self) -> ConfigError:
        """The text ended where a statement had begun (CONF-10, CONF-46)."""
        if self.file == COMMAND_LINE:
            return self.fault('unexpected end of parameter, expecting ";"')
        return self.fault('unexpected end of file, expecting ";" or "}"')

    def end_inside_block(self) -> ConfigError:
        return self.fault('unexpected end of file, expecting "}"')

    def _advance(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self.data, self.position)
        assert match is not None  # every pattern matches the empty text
        self.line += match[0].count(b"\n")
        self.position = match.end()
        return match[0]

    def _bare(self) -> bytes:
        start = self.where
        raw = self._advance(BARE)
        if len(raw) > WORD_LIMIT:
            raise too_long(raw, start)
        if self.position >= len(self.data) or self.data[self.position] == ord("\\"):
            raise self.end_inside_statement()
        return unescape(raw)

    def _quoted(self, mark: int) -> bytes:
        start = self.where
        self.position += 1
        raw = self._advance(QUOTED[mark])
        if len(raw) > WORD_LIMIT:
            text = f'too long parameter, probably missing terminating "{chr(mark)}" character'
            raise ConfigError(text, place(start))
        if self.position >= len(self.data) or self.data[self.position] != mark:
            raise self.end_inside_statement()
        self.position += 1
        after = self.data[self.position : self.position + 1]
        if after and after not in AFTER_QUOTE:
            raise self.fault(f'unexpected "{printable(after)}"')
        return unescape(raw)


def too_long(raw: bytes, start: Where) -> ConfigError:
    hint = f"found {len(raw)} octets, expected at most {WORD_LIMIT}"
    return ConfigError(f'too long parameter "{printable(raw[:10])}..." started', place(start), hint)


# -- statements ----------------------------------------------------------------------------------------------------


class TextParser:
    """Reads the statements of one text."""

    def __init__(self, lexer: Lexer, opens: Opens, include: Callable[[Statement, str], Iterable[Item]]) -> None:
        self.lexer, self.opens, self.include = lexer, opens, include
        self.cut = False  # a fault of syntax ended the text early

    def items(self, context: str, *, nested: bool = False) -> Iterator[Item]:
        """The statements up to the end of the block or text; a fault of syntax is the last item, in all blocks."""
        try:
            while not self.cut and (statement := self._statement(context, nested=nested)) is not None:
                if statement.name == b"include" and statement.block is None and len(statement.args) == 1:
                    yield from self.include(statement, context)
                else:
                    yield statement
        except ConfigError as fault:
            self.cut = True
            yield fault

    def _statement(self, context: str, *, nested: bool) -> Statement | None:
        words: list[bytes] = []
        while isinstance(token := self.lexer.next(), bytes):
            words.append(token)
        if not words:
            self._check_end(token, nested=nested)
            return None
        name, args, where = words[0], tuple(words[1:]), self.lexer.where
        match token:
            case Mark.SEMICOLON:
                return Statement(name, args, None, where)
            case Mark.OPEN:
                return Statement(name, args, self._block(context, name), where)
            case Mark.CLOSE:
                raise self.lexer.fault('unexpected "}"')
            case Mark.END:
                raise self.lexer.end_inside_statement()

    def _check_end(self, token: Mark, *, nested: bool) -> None:
        """Accept the end of a block inside one and the end of the text outside of all; refuse the rest (CONF-10)."""
        if token is (Mark.CLOSE if nested else Mark.END):
            return
        if token is Mark.END:
            raise self.lexer.end_inside_block()
        raise self.lexer.fault(f'unexpected "{token.value}"')

    def _block(self, context: str, name: bytes) -> tuple[Item, ...]:
        if self.lexer.file == COMMAND_LINE:
            raise self.lexer.fault("block directives are not supported in -g option")
        inner = self.opens(context, printable(name))
        return tuple(self._skipped() if inner is None else self.items(inner, nested=True))

    def _skipped(self) -> Iterator[Item]:
        """Pass over a block by counting braces; yields nothing but a fault (CONF-41)."""
        depth, in_statement = 1, False
        try:
            while depth:
                token = self.lexer.next()
                if token is Mark.END:
                    raise self.lexer.end_inside_statement() if in_statement else self.lexer.end_inside_block()
                depth += (token is Mark.OPEN) - (token is Mark.CLOSE)
                in_statement = isinstance(token, bytes)
        except ConfigError as fault:
            self.cut = True
            yield fault


# -- files ---------------------------------------------------------------------------------------------------------


class TreeReader:
    """Reads a configuration file and what it includes. Relative include names are relative to `base` (CONF-16)."""

    def __init__(self, base: Path, opens: Opens) -> None:
        self.base, self.opens = base, opens
        self._reading: list[str] = []  # real paths of the files that are being read, outermost first

    def read(self, path: str, context: str) -> Iterator[Item]:
        """The statements of a main file; one that cannot be opened gives a fault without a position (CONF-15)."""
        return self._file(path, context, None)

    def parse(self, data: bytes, file: str, context: str) -> Iterator[Item]:
        """The statements of a text; `file` is its name in positions."""
        return TextParser(Lexer(data, file), self.opens, self._include).items(context)

    def _include(self, statement: Statement, context: str) -> Iterator[Item]:
        pattern = os.path.join(os.fsencode(self.base), statement.args[0])
        paths = sorted(find(pattern)) if re.search(rb"[*?\[]", pattern) else [pattern]  # CONF-17
        for path in paths:
            yield from self._file(os.fsdecode(path), context, place(statement.where))

    def _file(self, path: str, context: str, includer: str | None) -> Iterator[Item]:
        real = os.path.realpath(path) if "\0" not in path else path
        try:
            if real in self._reading or len(self._reading) >= INCLUDE_DEPTH:
                raise OSError(TOO_MANY_OPEN_FILES, os.strerror(TOO_MANY_OPEN_FILES))
            data = read_octets(path)
        except OSError as error:
            yield open_fault(path, error, includer)
            return
        self._reading.append(real)
        yield from tuple(self.parse(data, printable(os.fsencode(path)), context))
        self._reading.pop()


def find(pattern: bytes) -> list[bytes]:
    """What a glob pattern matches; one that cannot be a file name matches nothing."""
    return [] if b"\0" in pattern else glob.glob(pattern)


def read_octets(path: str) -> bytes:
    """The content of a file; raises OSError, also for a name that no file can have."""
    if "\0" in path:
        raise FileNotFoundError(2, os.strerror(2))
    return Path(path).read_bytes()


def open_fault(path: str, error: OSError, where: str | None) -> ConfigError:
    """The message for a file that cannot be read (CONF-15, CONF-17, CONF-19)."""
    call = "pread()" if isinstance(error, IsADirectoryError) else "open()"
    cycle = "found a file that includes itself" if error.errno == TOO_MANY_OPEN_FILES else None
    text = f'{call} "{printable(os.fsencode(path))}" failed ({error.errno}: {error.strerror})'
    return ConfigError(text, where, cycle)


def format_tree(items: Iterable[Item], indent: int = 0) -> bytes:
    """Write statements as a file; reading it gives them back. Faults are left out."""
    return b"".join(_format(item, b"    " * indent, indent) for item in items if isinstance(item, Statement))


def _format(statement: Statement, margin: bytes, indent: int) -> bytes:
    words = margin + b" ".join(quote(word) for word in (statement.name, *statement.args))
    if statement.block is None:
        return words + b";\n"
    return words + b" {\n" + format_tree(statement.block, indent + 1) + margin + b"}\n"
