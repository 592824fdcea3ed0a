"""Programs as notebooks: the one place that makes and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

# What makes notebooks is imported where one is made: a check makes none.
if TYPE_CHECKING:
    from nbformat import NotebookNode


def of_program(text: str) -> NotebookNode:
    """A program in percent format as a notebook without outputs."""
    import jupytext

    return jupytext.reads(text, fmt="py:percent")


def markdown_cell(text: str) -> NotebookNode:
    from nbformat.v4 import new_markdown_cell

    return new_markdown_cell(text)


def to_text(notebook: dict) -> str:
    """The notebook as text that is the same whenever its outputs are."""
    import nbformat

    notebook = nbformat.from_dict(notebook)
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    for number, cell in enumerate(notebook.cells, 1):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {}
        if cell.cell_type == "code":
            cell["outputs"] = lasting(cell["outputs"])
    return nbformat.writes(notebook, version=4) + "\n"


def lasting(outputs: list) -> list:
    """The outputs without progress bars and warnings, in whole pieces.

    Those go to standard error, differ from run to run, and cut what is
    printed into pieces at random places.
    """
    kept: list = []
    for output in outputs:
        if output["output_type"] != "stream":
            kept.append(output)
        elif output["name"] == "stdout":
            if kept and kept[-1]["output_type"] == "stream":
                kept[-1]["text"] += output["text"]
            else:
                kept.append(output)
    return kept
