"""Words, statements, blocks and include files: rules CONF-1 to CONF-19, CONF-41 and CONF-46."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refproxy.config.settings import Where
from refproxy.config.tree import COMMAND_LINE, Item, Statement, TreeReader, format_tree, printable, quote
from refproxy.errors import ConfigError

INSIDE = {("main", "mail"): "mail", ("mail", "server"): "server", ("main", "events"): "events"}


def opens(context: str, name: str) -> str | None:
    return INSIDE.get((context, name))


def parse(text: bytes, file: str = "F", base: Path = Path("/nowhere")) -> list[Item]:
    return list(TreeReader(base, opens).parse(text, file, "main"))


def words(text: bytes) -> tuple[bytes, ...]:
    """The words of a text that is one good statement."""
    (item,) = parse(text)
    assert isinstance(item, Statement), item
    return (item.name, *item.args)


def fault(text: bytes, file: str = "F") -> str:
    """The fault at the end of a text, with its position."""
    found = parse(text, file)
    while isinstance(found[-1], Statement) and found[-1].block:
        found = list(found[-1].block)
    assert isinstance(found[-1], ConfigError), found
    return f"{found[-1].text} in {found[-1].where}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"a b;", (b"a", b"b"), id="CONF-1-words"),
        pytest.param(b"a\tb\r\nc\n;", (b"a", b"b", b"c"), id="CONF-1-white-space"),
        pytest.param(b"server_name a}b;", (b"server_name", b"a}b"), id="CONF-1-brace-inside-a-word"),
        pytest.param(b"a b# c;", (b"a", b"b#", b"c"), id="CONF-2-hash-inside-a-word"),
        pytest.param(b"#x ; {\na #y\nb;#z", (b"a", b"b"), id="CONF-2-comments"),
        pytest.param(b"a b;#c", (b"a", b"b"), id="CONF-2-comment-at-the-end"),
        pytest.param(b"a '#b' \"c;{}\n'd\";", (b"a", b"#b", b"c;{}\n'd"), id="CONF-3-quotes"),
        pytest.param(b"a \"\" '';", (b"a", b"", b""), id="CONF-3-empty"),
        pytest.param(b'a b"c" d\'e;', (b"a", b'b"c"', b"d'e"), id="CONF-3-quotes-inside-a-word"),
        pytest.param(b'a "b")c;', (b"a", b"b", b")c"), id="CONF-4-parenthesis"),
        pytest.param(rb"a \"b\'c\\d e\tf\rg\nh;", (b"a", b"\"b'c\\d", b"e\tf\rg\nh"), id="CONF-5-escapes"),
        pytest.param(rb"a b\ c d\;e f\xg;", (b"a", rb"b\ c", rb"d\;e", rb"f\xg"), id="CONF-5-kept"),
        pytest.param(rb"""a "b\"c\td\ e" 'f\'g';""", (b"a", b'b"c\td\\ e', b"f'g"), id="CONF-5-in-quotes"),
        pytest.param(rb"a b\\n;", (b"a", rb"b\n"), id="CONF-5-left-to-right"),
        pytest.param(rb"a \#b \}c;", (b"a", rb"\#b", rb"\}c"), id="CONF-5-first-octet"),
        pytest.param(b"a b${c}d;", (b"a", b"b${c}d"), id="CONF-6-dollar-brace"),
        pytest.param(b"a $ $b c$;", (b"a", b"$", b"$b", b"c$"), id="CONF-6-dollar"),
        pytest.param(b"a " + b"x" * 4096 + b";", (b"a", b"x" * 4096), id="CONF-7-longest-word"),
        pytest.param(b"#" + b"x" * 9000 + b"\na;", (b"a",), id="CONF-7-long-comment"),
        pytest.param(b"a b\0\x0b\xa0\xc3\xa9;", (b"a", b"b\0\x0b\xa0\xc3\xa9"), id="CONF-8-ordinary-octets"),
        pytest.param(b"\xef\xbb\xbfa;", (b"a",), id="CONF-8-byte-order-mark"),
        pytest.param(b'"timeout" 5;', (b"timeout", b"5"), id="CONF-9-quoted-name"),
    ],
)
def test_words_are_read_octet_by_octet(text: bytes, expected: tuple[bytes, ...]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'a "1"s;', 'unexpected "s" in F:1', id="CONF-4"),
        pytest.param(b'a "a""b";', 'unexpected """ in F:1', id="CONF-4-quote"),
        pytest.param(b'a "b"\xff;', 'unexpected "\\xff" in F:1', id="CONF-4-unprintable"),
        pytest.param(b"\na\n" + b"x" * 4097 + b"\n;", 'too long parameter "xxxxxxxxxx..." started in F:3', id="CONF-7"),
        pytest.param(
            b'a\n"' + b"\n" * 4097 + b'";',
            'too long parameter, probably missing terminating """ character in F:2',
            id="CONF-7-quoted",
        ),
        pytest.param(b"a;;", 'unexpected ";" in F:1', id="CONF-10-semicolon"),
        pytest.param(b"\n{", 'unexpected "{" in F:2', id="CONF-10-brace"),
        pytest.param(b"mail { a\n}", 'unexpected "}" in F:2', id="CONF-10-missing-semicolon"),
        pytest.param(b"a;\n}", 'unexpected "}" in F:2', id="CONF-10-top-level"),
        pytest.param(b"mail {\na;\n", 'unexpected end of file, expecting "}" in F:3', id="CONF-10-block"),
        pytest.param(b"mail {\na", 'unexpected end of file, expecting ";" or "}" in F:2', id="CONF-10-statement"),
        pytest.param(b"a 'b\n", 'unexpected end of file, expecting ";" or "}" in F:2', id="CONF-10-quote"),
        pytest.param(b'a "b"', 'unexpected end of file, expecting ";" or "}" in F:1', id="CONF-10-after-quote"),
        pytest.param(b"a \\", 'unexpected end of file, expecting ";" or "}" in F:1', id="CONF-10-backslash"),
        pytest.param(b"http { a {", 'unexpected end of file, expecting "}" in F:1', id="CONF-41-open"),
        pytest.param(b"http { a ", 'unexpected end of file, expecting ";" or "}" in F:1', id="CONF-41-statement"),
        pytest.param(b'http { "a"b; }', 'unexpected "b" in F:1', id="CONF-41-quote"),
    ],
)
def test_faults_of_syntax_have_the_texts_of_the_reference(text: bytes, expected: str) -> None:
    assert fault(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"a", 'unexpected end of parameter, expecting ";" in command line', id="end"),
        pytest.param(b"a {", "block directives are not supported in -g option in command line", id="block"),
        pytest.param(b"}", 'unexpected "}" in command line', id="brace"),
    ],
)
def test_directives_of_the_command_line_have_texts_of_their_own(text: bytes, expected: str) -> None:
    """CONF-46."""
    assert fault(text, COMMAND_LINE) == expected


def test_a_block_holds_statements_and_a_statement_is_where_it_ends() -> None:
    """CONF-9, CONF-11."""
    (mail,) = parse(b"mail\n{\n a\n b\n ;\n}\n")
    assert isinstance(mail, Statement)
    assert mail.block is not None
    (inner,) = mail.block
    assert isinstance(inner, Statement)
    assert (inner.name, inner.args, inner.block, inner.where) == (b"a", (b"b",), None, Where("F", 5))
    assert mail.where == Where("F", 2)


def test_what_other_modules_hold_is_skipped() -> None:
    """CONF-41."""
    text = b"http { a '}' { b \\} ${c} # }\n; } ;; } stream{} mail { http { x } a; }"
    http, stream, mail = parse(text)
    assert isinstance(http, Statement)
    assert isinstance(stream, Statement)
    assert isinstance(mail, Statement)
    assert http.block == stream.block == ()
    assert mail.block is not None
    assert [item.name for item in mail.block if isinstance(item, Statement)] == [b"http", b"a"]


def test_after_a_fault_the_file_is_cut_in_all_blocks() -> None:
    (mail,) = parse(b"mail { a; server { b; ; c; } d; } e;")
    assert isinstance(mail, Statement)
    assert mail.block is not None
    _, server = mail.block
    assert isinstance(server, Statement)
    assert server.block is not None
    assert [type(item) for item in server.block] == [Statement, ConfigError]


# -- include -------------------------------------------------------------------------------------------------------


def read(path: Path) -> list[Item]:
    return list(TreeReader(path.parent, opens).read(str(path), "main"))


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / name.replace("__", "/")).write_text(text)
    return directory / "main"


def names(items: list[Item]) -> list[str]:
    return [str(item) if isinstance(item, ConfigError) else printable(item.name) for item in items]


def test_an_include_stands_for_the_content_of_a_file(tmp_path: Path) -> None:
    """CONF-16, CONF-Q13: relative to the base directory, in nested files too."""
    (tmp_path / "sub").mkdir()
    main = write(tmp_path, main="a; include sub/one; d; mail { include two; }", sub__one="b; include two;", two="c;")
    *items, mail = read(main)
    assert names(items) == ["a", "b", "c", "d"]
    assert isinstance(mail, Statement)
    assert mail.block == (Statement(b"c", (), None, Where("", 0)),)


def test_a_pattern_includes_what_matches_in_order(tmp_path: Path) -> None:
    """CONF-17."""
    main = write(tmp_path, main="include [xy]*.conf; include no*.conf; include ?z;", y="", **{"y.conf": "y;"})
    write(tmp_path, **{"x2.conf": "x2;", "x10.conf": "x10;", "az": "az;", "z": ""})
    assert names(read(main)) == ["x10", "x2", "y", "az"]


def test_a_missing_file_is_a_fault_and_reading_goes_on(tmp_path: Path) -> None:
    """CONF-17."""
    main = write(tmp_path, main="a;\ninclude nope;\nb;")
    text = f'open() "{tmp_path}/nope" failed (2: No such file or directory) in {main}:2'
    assert names(read(main)) == ["a", text, "b"]


def test_a_missing_main_file_has_no_position(tmp_path: Path) -> None:
    """CONF-15."""
    path = tmp_path / "nope"
    assert names(read(path)) == [f'open() "{path}" failed (2: No such file or directory)']


def test_a_directory_cannot_be_read(tmp_path: Path) -> None:
    """CONF-19."""
    main = write(tmp_path, main="include .;")
    assert names(read(main)) == [f'pread() "{tmp_path}/." failed (21: Is a directory) in {main}:1']


@pytest.mark.parametrize("name", ['"a\\0b"', '"a\0b"', '"[\0"'])
def test_a_name_that_no_file_can_have_is_not_found(tmp_path: Path, name: str) -> None:
    """CONF-17: a name with a NUL inside."""
    main = write(tmp_path, main=f"include {name}; a;")
    assert names(read(main))[-1] == "a"


def test_included_files_are_balanced(tmp_path: Path) -> None:
    """CONF-18, CONF-19: the fault names the included file, and the including file goes on."""
    main = write(tmp_path, main="include one; include two; include three; a;", one="}", two="mail {", three="b")
    one, mail, three, last = read(main)
    assert str(one) == f'unexpected "}}" in {tmp_path}/one:1'
    assert isinstance(mail, Statement)
    assert mail.block is not None
    assert str(mail.block[-1]) == f'unexpected end of file, expecting "}}" in {tmp_path}/two:1'
    assert str(three) == f'unexpected end of file, expecting ";" or "}}" in {tmp_path}/three:1'
    assert names([last]) == ["a"]


def test_a_file_that_includes_itself_is_noticed(tmp_path: Path) -> None:
    """CONF-19, CONF-Q11."""
    main = write(tmp_path, main="a; include other;", other="b;\ninclude main;")
    text = f'open() "{main}" failed (24: Too many open files) in {tmp_path}/other:2: found a file that includes itself'
    assert names(read(main)) == ["a", "b", text]


def test_a_file_may_be_included_twice(tmp_path: Path) -> None:
    main = write(tmp_path, main="include other; include other;", other="b;")
    assert names(read(main)) == ["b", "b"]


def test_files_inside_files_end_somewhere(tmp_path: Path) -> None:
    """CONF-19: a long chain of different files is a fault, not a crash."""
    write(tmp_path, **{f"f{n}": f"include f{n + 1};" for n in range(150)})
    assert "Too many open files" in names(read(write(tmp_path, main="include f0;")))[0]


# -- properties ----------------------------------------------------------------------------------------------------

SIMPLE = st.builds(
    Statement,
    st.binary(min_size=1, max_size=8).filter(lambda name: name != b"include"),
    st.lists(st.binary(max_size=8), max_size=3).map(tuple),
    st.none(),
    st.just(Where("", 0)),
)


def block(name: bytes, inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    items = st.lists(inner, max_size=3).map(tuple)
    return st.builds(Statement, st.just(name), st.just(()), items, st.just(Where("", 0)))


TREES = st.lists(st.one_of(SIMPLE, block(b"mail", st.one_of(SIMPLE, block(b"server", SIMPLE)))), max_size=4)


@pytest.mark.slow
@given(TREES)
@example([Statement(b"\xef\xbb\xbfa", (b")", b"}", b"${", b"a\\", b"#"), None, Where("", 0))])
def test_what_is_formatted_is_read_back(tree: list[Statement]) -> None:
    assert parse(format_tree(tree)) == tree


@given(st.binary())
def test_a_quoted_word_is_read_back(word: bytes) -> None:
    assert words(b"a " + quote(word) + b";") == (b"a", word)


PIECES = st.sampled_from(
    [b";", b"{", b"}", b'"', b"'", b"\\", b"$", b"#", b"\n", b" ", b"a", b"mail", b"include", b"\0"]
)


@given(st.one_of(st.binary(), st.lists(PIECES).map(b"".join)))
def test_no_octets_make_the_reader_raise(text: bytes) -> None:
    for item in parse(text):
        assert isinstance(item, Statement | ConfigError)
