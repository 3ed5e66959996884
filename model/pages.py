"""HTML pages: one look, self-contained, and safe to open whatever the posts on them hold."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from narratrace.model.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(package: str, template: str, **values: Any) -> str:
    """Render a template into the text of a page.

    Everything is escaped, and characters that could hide or reorder text are shown as codes. What is HTML already,
    such as a plot, has to come as ``markupsafe.Markup``.

    Parameters
    ----------
    package
        Package whose folder ``templates`` holds the template, such as ``narratrace.training``.
    template
        Name of the template; it begins with ``{% extends "base.html" %}`` and fills the blocks ``title``, ``lead`` and
        ``content``.
    **values
        What the template shows; one that it names and does not get is an error.
    """
    return _environment(package).get_template(template).render(values)


def write_page(path: Path, package: str, template: str, **values: Any) -> None:
    """Write what :func:`render_page` gives."""
    path.write_text(render_page(package, template, **values), encoding="utf-8")


@cache
def _environment(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("narratrace.model")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    """Make a plain string printable; Markup (HTML already) and numbers stay."""
    return printable(value) if type(value) is str else value
