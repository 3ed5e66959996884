"""Cells: making strings harmless to spreadsheets, which run a cell that begins like a formula."""

from __future__ import annotations

import re

# What Excel, LibreOffice and Google Sheets take for the start of a formula, full-width variants included (OWASP, CSV
# Injection). Apostrophes before it belong to the pattern so that adding one can always be undone.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


def neutralise(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run; leave every other cell alone.

    >>> neutralise("=HYPERLINK(...)"), neutralise("光復香港")
    ("'=HYPERLINK(...)", '光復香港')
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def restore(cell: str) -> str:
    """Undo `neutralise`.

    >>> restore("'=HYPERLINK(...)"), restore("'tis")
    ('=HYPERLINK(...)', "'tis")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
