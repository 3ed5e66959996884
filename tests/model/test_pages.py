"""Pages escape everything, show what hides, and need nothing from outside."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from narratrace.model.pages import render_page, write_page


class Elements(HTMLParser):
    """The elements and texts of a page, as a browser would read them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package with a template of its own that fills the base."""
    import sys

    folder = tmp_path_factory.mktemp("packages")
    templates = folder / "page_under_test" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "__init__.py").touch()
    (templates / "posts.html").write_text(
        '{% extends "base.html" %}{% block title %}Posts{% endblock %}'
        '{% block content %}<p title="{{ text }}">{{ text }}</p>{{ plot }}{% endblock %}'
    )
    sys.path.insert(0, str(folder))
    return "page_under_test"


EMPTY = Markup("")


@given(text=st.text())
def test_no_text_can_add_an_element_or_hide_another(package: str, text: str) -> None:
    page = Elements(render_page(package, "posts.html", text=text, plot=EMPTY))
    assert page.tags == Elements(render_page(package, "posts.html", text="", plot=EMPTY)).tags
    assert not any("\u202a" <= character <= "\u202e" or character == "\x1b" for character in page.text)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\u202egnp.exe"])
def test_hostile_texts_stay_texts(package: str, text: str) -> None:
    page = Elements(render_page(package, "posts.html", text=text, plot=EMPTY))
    shown = text.replace("\u202e", "\\u202e")
    assert shown in page.text
    assert ("title", shown) in page.attributes


def test_markup_stays_markup_and_what_is_missing_is_an_error(package: str) -> None:
    page = Elements(render_page(package, "posts.html", text="", plot=Markup("<svg>\n</svg>")))
    assert "svg" in page.tags
    assert "\\n" not in page.text
    with pytest.raises(jinja2.UndefinedError):
        render_page(package, "posts.html", text="")


def test_a_page_is_written_in_utf8_and_loads_nothing(package: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, package, "posts.html", text="支持警察", plot=EMPTY)
    page = Elements(path.read_text(encoding="utf-8"))
    assert "支持警察" in page.text
    assert not {name for name, _ in page.attributes} & {"src", "href"}
    assert page.text.count("Posts") == 2  # title and heading
