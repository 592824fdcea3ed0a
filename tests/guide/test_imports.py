"""The modules of the tool import each other in one direction."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "examples/_guide"


def ours(text):
    """The modules of the tool that a text imports when it runs."""
    found, pending = set(), [ast.parse(text)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {node.module} | names
        elif not (
            isinstance(node, ast.If)
            and ast.unparse(node.test) == "TYPE_CHECKING"
        ):
            pending += ast.iter_child_nodes(node)
    return found


def in_order(folder):
    """The modules, each behind what it imports; CycleError if none can be."""
    modules = {
        ".".join(path.relative_to(folder.parent).with_suffix("").parts): path
        for path in folder.rglob("*.py")
        if path.stem != "__init__" and path.parent.name != "templates"
    }
    imports = {
        name: ours(path.read_text("utf-8")) & set(modules)
        for name, path in modules.items()
    }
    return list(TopologicalSorter(imports).static_order())


def test_no_modules_import_each_other():
    order = in_order(TOOL)
    assert len(order) > 20
    assert order.index("_guide.project") < order.index("_guide.measure.run")


def test_a_circle_is_noticed(tmp_path):
    folder = tmp_path / "_guide"
    folder.mkdir()
    (folder / "a.py").write_text("import os\n\nfrom _guide import b\n")
    (folder / "b.py").write_text("def f():\n    from _guide.a import g\n")
    with pytest.raises(CycleError):
        in_order(folder)
