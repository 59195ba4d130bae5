"""Files made of results: what they hold, that nothing in them is dangerous, and that no password is in any."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from conformance.__main__ import main
from conformance.bench import PASSWORD
from conformance.report.html import to_html
from conformance.report.junit import to_junit
from conformance.report.markdown import ROOM, to_markdown
from conformance.report.results import Results, from_json, to_json
from conformance.transcript import Transcript
from conformance.verdict import Verdict
from refproxy.observe.ladder import Side
from tests.conformance.samples import HOSTILE, case_result, sample


def test_json_is_read_back() -> None:
    assert from_json(to_json(sample(text=HOSTILE))) == sample(text=HOSTILE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "Expecting"),
        ("[]", "no results"),
        ('{"schema": 99}', "schema 99 instead of 1"),
        (to_json(sample()).replace('"verdict": "fail"', '"verdict": "<b>"'), "not a valid Verdict"),
        (to_json(sample()).replace('"duration": 0.25', '"duration": "<b>"'), "duration of a case is '<b>'"),
        (to_json(sample()).replace('"xclient"', "5"), "directives of a case is"),
    ],
)
def test_other_files_are_no_results(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        from_json(text)


def test_junit_counts_and_explains() -> None:
    suite = ElementTree.fromstring(to_junit([sample(text=HOSTILE)]).encode())[0]  # noqa: S314 (we wrote it)
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "8",
        "failures": "2",
        "errors": "1",
        "skipped": "2",
    }
    failed = suite.find("testcase[@name='fail']")
    assert failed is not None
    assert failed.get("classname") == "alpha.smtp.sample"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.text is not None
    assert "<script>alert(1)</script>" in failure.text
    assert "NOOP" in failure.text


def test_markdown_counts_and_explains() -> None:
    text = to_markdown([sample("alpha"), sample("beta")])
    assert "| alpha alpha, version 1.2 | 8 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 |" in text
    assert "| beta | smtp/sample/fail | fail | SMTP-1 " in text
    assert text.count("<details>") == text.count("</details>") == 8
    assert "Nothing went wrong" in to_markdown([Results("0", "alpha", "", ())])


def test_markdown_holds_no_markup_of_the_target() -> None:
    text = to_markdown([sample(text=HOSTILE)])
    outside = re.sub(r"(?m)^(`{3,})text\n.*?\n\1$", "", text, flags=re.DOTALL)
    assert set(re.findall("<[^>]*>", outside)) == {
        "<details>",
        "</details>",
        "<summary>",
        "</summary>",
        "<code>",
        "</code>",
    }
    assert "@all" not in outside
    assert "http://" not in outside
    assert "*b*" not in outside
    assert len({line.count("|") for line in outside.splitlines() if line.startswith("| alpha | ")}) == 1


def test_markdown_fits_into_a_comment() -> None:
    case = case_result("smtp/sample/fail", Verdict.FAIL, "SMTP-1")
    big = Results("0", "alpha", "", tuple([replace(case, ladder="x" * 900 + "\n")] * 100))
    text = to_markdown([big])
    assert len(text) < ROOM + 200
    assert "more ladders did not find room here" in text


class Outline(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_leads_from_every_cell_to_its_cases() -> None:
    page = Outline(to_html([sample("alpha"), sample("beta")]))
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    cells = [link for link in page.all("a") if "data-cases" in link]
    assert len(cells) == 2 * len(Verdict) + 2
    assert {id for link in cells for id in (link["data-cases"] or "").split()} <= ids
    assert {link["href"] for link in page.all("a")} <= {f"#{id}" for id in ids}
    assert "SMTP-1 at beta: 1 error, 1 fail" in to_html([sample("beta")])


def test_the_page_holds_no_markup_of_the_target_and_loads_nothing() -> None:
    harmless, hostile = (Outline(to_html([sample(text=text)])) for text in ("", HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    names = {name for _, attributes in hostile.tags for name in attributes}
    assert not names & {"src", "srcset", "style", "onerror", "onclick"}
    assert hostile.all("link") == []
    assert "url(" not in to_html([sample()])
    policies = [meta["content"] for meta in hostile.all("meta") if meta.get("http-equiv")]
    assert len(policies) == 1
    assert (policies[0] or "").startswith("default-src 'none'")


@pytest.mark.parametrize("write", [to_html, to_markdown, to_junit])
def test_reports_of_nothing_are_made(write: Callable[[Sequence[Results]], str]) -> None:
    assert write([])
    assert write([Results("0", "alpha", "", ())])


def test_merge_makes_one_report_of_several_runs(tmp_path: Path) -> None:
    for name in ("alpha", "beta"):
        (tmp_path / f"{name}.json").write_text(to_json(sample(name)))
    files = [str(tmp_path / name) for name in ("alpha.json", "beta.json", "m.html", "m.md", "m.xml")]
    done = CliRunner().invoke(
        main, ["merge", *files[:2], "--html", files[2], "--markdown", files[3], "--junit", files[4]]
    )
    assert done.exit_code == 0, done.output
    for file in files[2:]:
        assert {"alpha", "beta"} <= set(re.findall("alpha|beta", Path(file).read_text()))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["FILE"], "say what to make"),
        (["nowhere.json", "--html", "x"], "nowhere.json: No such file"),
        (["FILE", "--html", "x"], "FILE: no results of this suite"),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_merge_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("{}")
    done = CliRunner().invoke(main, ["merge", *arguments])
    assert done.exit_code == 2
    assert complaint in done.stderr


def spellings(password: bytes) -> list[bytes]:
    """A password as it is, and what of its base64 is the same whatever stands around it."""
    middles = [b64encode(bytes(before) + password + b"x" * 3)[4:-8] for before in range(3)]
    return [password, b64encode(password).rstrip(b"="), *middles]


def test_no_password_is_in_any_report(tmp_path: Path) -> None:
    files = [tmp_path / f"report.{format}" for format in ("json", "junit", "markdown", "html")]
    options = [word for file in files for word in (f"--{file.suffix[1:]}", str(file))]
    expect = tmp_path / "expect.toml"  # unexpected passes are told with their ladders
    ids = [f"{protocol}/canary/one-session" for protocol in ("smtp", "imap", "pop3")]
    expect.write_text("".join(f'["{id}"]\nreason = "a"\nlink = "b"\n' for id in ids))
    selection = ["--only", "*/canary/*", "--expect", str(expect)]
    done = CliRunner().invoke(main, ["run", "--target", "refproxy", *selection, *options])
    assert "3 unexpected pass" in done.output
    texts = [done.output.encode(), *(file.read_bytes() for file in files)]
    assert all(b"pong" in text for text in texts)
    assert [spelling for text in texts for spelling in spellings(PASSWORD) if spelling in text] == []


@pytest.mark.parametrize("before", range(4))
async def test_a_secret_is_hidden_however_it_is_written(before: int) -> None:
    transcript = Transcript([PASSWORD])
    wire = b64encode(b"u" * before + PASSWORD + b"rest")
    transcript.sent(Side.CLIENT, b"AUTH PLAIN " + wire + b"\r\n")
    transcript.remark(f"Auth-Pass is {PASSWORD!r}")
    drawn = transcript.draw("a title")
    assert "***" in drawn
    assert [spelling for spelling in spellings(PASSWORD) if spelling in drawn.encode()] == []


def test_short_secrets_hide_nothing_else() -> None:
    assert Transcript([b"", b"q"]).masked(b"a quick word") == b"a ***uick word"
