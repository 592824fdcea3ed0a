"""`-m quick` reads and runs what a writer needs, and imports no framework."""

import sys

import pytest

FRAMEWORKS = ("keras", "tensorflow", "torch")


class NoFramework:
    """Refuses to import a framework, as if it were not installed."""

    def find_spec(self, name, path=None, target=None):
        if name in FRAMEWORKS:
            raise ImportError(f"a quick test imports {name}; take its mark")


def pytest_configure(config):
    if config.option.markexpr == "quick":
        sys.meta_path.insert(0, NoFramework())


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path, config):
    """A file without a quick test would be imported for nothing."""
    if config.option.markexpr == "quick" and collection_path.is_file():
        if "mark.quick" not in collection_path.read_text("utf-8"):
            return True
