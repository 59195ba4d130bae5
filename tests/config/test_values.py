"""The types of values: rules CONF-21 to CONF-29, CONF-50, CONF-51 and what only one directive has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refproxy.config import values
from refproxy.config.directives import BY_NAME, IMAP_AUTH, POP3_AUTH, ROWS, SMTP_AUTH, Row
from refproxy.config.settings import MailProtocol, Mechanism, StartTlsMode, VerifyClient, Where
from refproxy.config.values import Call, Parser, Site
from refproxy.errors import ConfigError


def no_names(host: str, /) -> Sequence[str]:
    raise OSError(host)


def call(*words: bytes, name: str = "NAME", previous: object = None, base: Path = Path("/base")) -> Call:
    return Call(name, words, Where("F", 1), Site(base, no_names), previous)


def refusal(parse: Parser, *words: bytes, name: str = "NAME") -> str:
    with pytest.raises(ConfigError) as caught:
        parse(call(*words, name=name))
    return caught.value.text


@pytest.mark.parametrize(("word", "value"), [(b"on", True), (b"ON", True), (b"off", False), (b"oFf", False)])
def test_flags_have_two_words_in_any_case(word: bytes, value: bool) -> None:
    """CONF-21."""
    assert values.flag(call(word)) is value


@pytest.mark.parametrize("word", [b"yes", b"1", b"", b"onn"])
def test_other_words_are_no_flags(word: bytes) -> None:
    """CONF-21."""
    text = f'invalid value "{word.decode()}" in "NAME" directive, it must be "on" or "off"'
    assert refusal(values.flag, word) == text


def test_enumerations_ignore_case_and_do_not_name_the_directive() -> None:
    """CONF-22, CONF-Q5, TLS-2, TLS-21."""
    assert values.choice(StartTlsMode)(call(b"ONLY")) is StartTlsMode.ONLY
    assert values.choice(VerifyClient)(call(b"Optional")) is VerifyClient.OPTIONAL
    assert refusal(values.choice(VerifyClient), b"2") == 'invalid value "2"'


def test_bit_sets_unite_and_warn_of_repetition() -> None:
    """CONF-23: within a statement and across statements of a block."""
    statement = call(b"plain", b"Plain", b"login", previous=frozenset({Mechanism.LOGIN}))
    assert SMTP_AUTH(statement) == {Mechanism.PLAIN, Mechanism.LOGIN}
    warnings = statement.site.notes.lines
    assert warnings == ['[warn] duplicate value "Plain" in F:1', '[warn] duplicate value "login" in F:1']


@pytest.mark.parametrize(
    ("parse", "word"),
    [
        pytest.param(POP3_AUTH, b"login", id="CONF-37"),
        pytest.param(IMAP_AUTH, b"apop", id="imap"),
        pytest.param(IMAP_AUTH, b"none", id="none"),
        pytest.param(BY_NAME["ssl_protocols"].parse, b"TLSv1.4", id="TLS-15"),
    ],
)
def test_unknown_words_are_not_in_a_set(parse: Parser, word: bytes) -> None:
    """CONF-23."""
    assert refusal(parse, word) == f'invalid value "{word.decode()}"'


@pytest.mark.parametrize(
    ("word", "value"), [(b"0", 0), (b"007", 7), (b"9223372036854775807", 2**63 - 1), (b"0" * 40 + b"1", 1)]
)
def test_numbers_are_digits(word: bytes, value: int) -> None:
    """CONF-24."""
    assert values.number(call(word)) == value


@pytest.mark.parametrize("word", [b"", b"-1", b"+1", b"1k", b"1.0", b" 1", b"9223372036854775808", b"1" * 30, b"x"])
def test_other_words_are_no_numbers(word: bytes) -> None:
    """CONF-24."""
    assert refusal(values.number, word) == '"NAME" directive invalid number'


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b"0", 0),
        (b"4096", 4096),
        (b"4k", 4096),
        (b"4K", 4096),
        (b"1m", 1048576),
        (b"1M", 1048576),
        (b"9007199254740991k", 9007199254740991 * 1024),
        (b"8796093022207m", 8796093022207 * 1048576),
    ],
)
def test_sizes_are_digits_with_a_unit(word: bytes, value: int) -> None:
    """CONF-25."""
    assert values.size()(call(word)) == value


@pytest.mark.parametrize(
    "word", [b"", b"k", b"1g", b"1kb", b"1.5k", b"-1", b"1 k", b"9007199254740992k", b"8796093022208m", b"1kk"]
)
def test_other_words_are_no_sizes(word: bytes) -> None:
    """CONF-25, CONF-Q7."""
    assert refusal(values.size(), word) == '"NAME" directive invalid value'


@pytest.mark.parametrize(
    ("name", "least"), [("smtp_client_buffer", 512), ("imap_client_buffer", 32), ("proxy_buffer", 14)]
)
def test_buffers_that_break_every_session_are_refused(name: str, least: int) -> None:
    """CONF-51."""
    parse = BY_NAME[name].parse
    assert parse is not None
    assert parse(call(str(least).encode())) == least
    assert refusal(parse, str(least - 1).encode(), name=name) == f'"{name}" directive invalid value'


@pytest.mark.parametrize(
    ("word", "seconds"),
    [
        (b"0", 0),
        (b"90", 90),
        (b"500ms", 0.5),
        (b"1m30s", 90),
        (b"1w2d", 777600),
        (b"1d1h1m1s1ms", 90061.001),
        (b"1s500ms", 1.5),
        (b"10m10", 610),
        (b"1h 30m", 5400),
        (b"1m 30", 90),
        (b" 1", 1),
        (b"1 ", 1),
        (b"24h", 86400),
    ],
)
def test_times_are_parts_of_falling_units(word: bytes, seconds: float) -> None:
    """CONF-26, CONF-27, PROXY-95."""
    assert values.time(call(word)) == seconds


@pytest.mark.parametrize(
    "word",
    b"1 s,1s1m,1m1m,1ms1s,1.5s,-1,+1,1S,1H,s,1x,1sec,,on,off,9223372036854776,1M,1y,30s1m,10S".split(b","),
)
def test_other_words_are_no_times(word: bytes) -> None:
    """CONF-26, CONF-27, CONF-Q6."""
    assert refusal(values.time, word) == '"NAME" directive invalid value'


@pytest.mark.parametrize(
    ("word", "seconds"), [(b"5m", 300), (b"1M", 2592000), (b"1y", 31536000), (b"1y1M1d", 34214400), (b"300", 300)]
)
def test_coarse_times_have_months_and_years(word: bytes, seconds: int) -> None:
    """CONF-26."""
    assert values.whole_seconds(call(word)) == seconds


@pytest.mark.parametrize("word", [b"1ms", b"1M1y", b"1.5", b""])
def test_coarse_times_have_no_milliseconds(word: bytes) -> None:
    """CONF-26."""
    assert refusal(values.whole_seconds, word) == '"NAME" directive invalid value'


def test_zero_can_mean_off() -> None:
    """CONF-28."""
    assert values.time_or_off(call(b"0s")) is None
    assert values.time_or_off(call(b"1")) == 1.0
    assert values.time(call(b"0")) == 0.0


@pytest.mark.parametrize("word", [b"a\nb", b"a\rb", b"a\0b", b"\n"])
@pytest.mark.parametrize("name", ["server_name", "imap_capabilities", "pop3_capabilities", "smtp_capabilities"])
def test_what_goes_on_the_wire_has_no_line_ends(name: str, word: bytes) -> None:
    """CONF-50, CONF-Q14."""
    parse = BY_NAME[name].parse
    assert parse is not None
    assert refusal(parse, word, name=name) == f'invalid character in "{name}" directive'


@pytest.mark.parametrize("words", [(b"X\r", b"v"), (b"X", b"v\n"), (b"X", b"\0")])
def test_header_lines_have_no_line_ends(words: tuple[bytes, bytes]) -> None:
    """CONF-50, AUTH-Q11."""
    assert refusal(values.header, *words) == 'invalid character in "NAME" directive'


def test_strings_are_taken_as_they_are() -> None:
    """CONF-29, AUTH-3."""
    assert values.wire_words(call(b"A B", b"", b"A B", b"\xff")) == (b"A B", b"", b"A B", b"\xff")
    assert values.header(call(b"X-Key", b"")) == ((b"X-Key", b""),)


def test_file_names_are_relative_to_the_base() -> None:
    """TLS-4, TLS-5: but data and engine values are no file names."""
    assert values.file_name(call(b"a/b")) == "/base/a/b"
    assert values.file_name(call(b"/a")) == "/a"
    assert values.pem_source(call(b"a.pem")) == ("/base/a.pem",)
    assert values.pem_source(call(b"data:-----BEGIN")) == ("data:-----BEGIN",)
    assert values.pem_source(call(b"engine:e:id")) == ("engine:e:id",)


def test_pass_phrases_are_read_at_once(tmp_path: Path) -> None:
    """TLS-13."""
    (tmp_path / "words").write_bytes(b"one\ntwo\n")
    (tmp_path / "empty").touch()
    assert values.pass_phrases(call(b"words", base=tmp_path)) == (b"one", b"two")
    assert values.pass_phrases(call(b"empty", base=tmp_path)) == (b"",)
    assert refusal(values.pass_phrases, b"/nope/x") == 'open() "/nope/x" failed (2: No such file or directory)'


@pytest.mark.parametrize(
    "words",
    [
        (b"off",),
        (b"none",),
        (b"builtin",),
        (b"builtin:1000",),
        (b"shared:S:32k",),
        (b"builtin:1000", b"shared:S:1m"),
    ],
)
def test_session_caches_have_these_forms(words: tuple[bytes, ...]) -> None:
    """TLS-16."""
    assert values.session_cache(call(*words)) == tuple(word.decode() for word in words)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (b"foo", 'invalid session cache "foo"'),
        (b"builtin:x", 'invalid session cache "builtin:x"'),
        (b"shared:S", 'invalid session cache "shared:S"'),
        (b"shared::1m", 'invalid session cache "shared::1m"'),
        (b"shared:S:x", 'invalid session cache "shared:S:x"'),
        (b"shared:SSL:1k", 'session cache "shared:SSL:1k" is too small'),
    ],
)
def test_other_words_are_no_session_caches(word: bytes, text: str) -> None:
    """TLS-16."""
    assert refusal(values.session_cache, word) == text


def test_a_shared_zone_has_one_size() -> None:
    """TLS-16."""
    site = Site(Path("/"), no_names)
    for word in (b"shared:S:1m", b"shared:S:1024k", b"shared:T:2m"):
        values.session_cache(Call("x", (word,), Where("F", 1), site))
    with pytest.raises(ConfigError, match=r"the size 2097152 of .* \"S\" conflicts with already declared size 1048576"):
        values.session_cache(Call("x", (b"shared:S:2m",), Where("F", 1), site))


def test_protocols_are_lower_case() -> None:
    """CORE-13."""
    parse = BY_NAME["protocol"].parse
    assert parse is not None
    assert parse(call(b"imap")) is MailProtocol.IMAP
    assert refusal(parse, b"IMAP") == 'unknown protocol "IMAP"'
    assert refusal(parse, b"ftp") == 'unknown protocol "ftp"'


def test_worker_processes_is_a_number_or_auto() -> None:
    """CONF-39."""
    assert values.number_or_auto(call(b"auto")) is None
    assert values.number_or_auto(call(b"4")) == 4
    assert refusal(values.number_or_auto, b"many") == '"NAME" directive invalid value'


def test_hints_quote_what_was_found_and_cut_it() -> None:
    with pytest.raises(ConfigError) as caught:
        values.number(call(b"x" * 100))
    assert caught.value.hint == f'found "{"x" * 60}...", expected a number'


@given(st.sampled_from([row for row in ROWS if row.parse]), st.lists(st.binary(max_size=20), min_size=3, max_size=3))
def test_no_words_make_a_parser_raise_anything_but_a_fault(row: Row, words: list[bytes]) -> None:
    assert row.parse is not None
    accepted = words[: min(row.arity.most or 3, 3)]
    with suppress(ConfigError):
        row.parse(call(*accepted, name=row.name, base=Path("/nowhere")))
