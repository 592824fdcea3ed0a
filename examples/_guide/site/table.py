"""Tables of measured numbers: `tables` in figure.py gives them by name.

A cell is made from an entry of a result, so that nobody types one.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from _guide.results import interval, number_text

# More do not fit on a phone, where the table then scrolls.
MOST_COLUMNS = 6
COLUMNS = ["row", "column", "value", "low", "high", "unit"]


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the value or judgement of which it does."""

    text: str
    entry: dict


@dataclass(frozen=True)
class Table:
    """Rows of a heading and a cell for each further column.

    A name between backticks is code, in columns and in headings of rows.
    """

    columns: list[str]
    rows: list[list]

    def __post_init__(self) -> None:
        if len(self.columns) > MOST_COLUMNS:
            raise ValueError(
                f"{len(self.columns)} columns; at most {MOST_COLUMNS} fit"
            )
        for heading, *cells in self.rows:
            if len(cells) != len(self.columns) - 1:
                raise ValueError(
                    f"row {heading!r} has {len(cells)} cells, expected "
                    f"{len(self.columns) - 1}"
                )
            for cell in cells:
                if not isinstance(cell, Cell):
                    raise TypeError(
                        f"row {heading!r} has a cell {cell!r:.40}; expected "
                        "number(entry), low_to_high(entry) or verdict(entry)"
                    )


def number(entry: dict | None, decimals: int | None = None, percent=False):
    """The value alone; a share in percent, if asked for."""
    return _cell(entry, lambda e: [e["value"]], decimals, percent)


def low_to_high(entry: dict | None, decimals: int | None = None, percent=False):
    """The ends of the interval; of an exact value, the value alone."""
    return _cell(entry, interval, decimals, percent)


def verdict(entry: dict | None):
    """Whether a judgement holds."""
    if entry is None:
        return Cell("–", {})
    return Cell("yes" if entry["holds"] else "no", entry)


def _cell(entry, ends, decimals, percent) -> Cell:
    if entry is None:
        return Cell("–", {})
    if entry["value"] is None:
        return Cell(entry["reason"], entry)
    found = dict.fromkeys(_shown(end, decimals, percent) for end in ends(entry))
    return Cell(" to ".join(found), entry)


def _shown(value: float, decimals: int | None, percent: bool) -> str:
    value *= 100 if percent else 1
    if decimals is None:
        text = number_text(value)
    else:
        # Adding nothing makes a zero of a negative one.
        text = f"{round(value, decimals) + 0.0:,.{decimals}f}"
    return text.replace("-", "−") + " %" * percent


def files(name: str, table: Table, made_by: str) -> dict[str, str]:
    """The table as a page includes it, and its data."""
    return {
        f"{name}.md": to_html(table, name.replace("_", " "), made_by),
        f"{name}.csv": as_csv(COLUMNS, rows(table), made_by),
    }


def to_html(table: Table, title: str, made_by: str) -> str:
    """The table in a container that scrolls, also by keyboard.

    Without an end of line: in a tab, Markdown would take it for the end of a
    paragraph, and put the caption into another.
    """
    head = "".join(f'<th scope="col">{_text(c)}</th>' for c in table.columns)
    rows = ""
    for heading, *cells in table.rows:
        shown = "".join(f"<td>{_text(cell.text)}</td>" for cell in cells)
        rows += f'\n<tr><th scope="row">{_text(heading)}</th>{shown}</tr>'
    return (
        f"<!-- Made by: {made_by} -->\n"
        '<div class="guide-table" role="region" tabindex="0" '
        f'aria-label="Table: {title}"><table class="guide-rows">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _text(text: str) -> str:
    """Text as HTML that Markdown leaves as it is."""
    plain = re.sub(r"[^\w\s.,:%–−-]|_", lambda m: f"&#{ord(m[0])};", text)
    return re.sub(r"&#96;(.+?)&#96;", r"<code>\1</code>", plain)


def rows(table: Table) -> list[tuple]:
    """A row of the CSV for each cell."""
    found = []
    for heading, *cells in table.rows:
        for column, cell in zip(table.columns[1:], cells):
            entry = cell.entry
            low_high = entry.get("ci") or (None, None)
            value = entry.get("value", entry.get("holds"))
            names = [name.replace("`", "") for name in (heading, column)]
            found.append((*names, value, *low_high, entry.get("unit")))
    return found


def as_csv(columns: list[str], rows: list[tuple], made_by: str) -> str:
    """What a figure or a table shows, as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*columns, "made_by"])
    for number, row in enumerate(rows):
        # Once is enough, and leaves the table plain.
        writer.writerow([*row, None if number else made_by])
    return stream.getvalue()
