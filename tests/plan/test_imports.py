"""The planner and the generator know the same facts, and not each other."""

import ast
from pathlib import Path

import pytest

import hwgen

FOLDER = Path(hwgen.__file__).parent


def imported(path: Path) -> set[str]:
    """Modules of hwgen that ``path``, a module of one of its packages, imports, without the leading ``hwgen.``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "") if node.level == 2 else f"{path.parent.name}.{node.module}")
    return found


@pytest.mark.parametrize(
    ("package", "other"), [("plan", "rtl"), ("rtl", "plan"), ("sizing", "plan"), ("sizing", "rtl")]
)
def test_neither_imports_the_other(package, other):
    modules = sorted((FOLDER / package).glob("*.py"))
    assert modules
    for path in modules:
        assert not [name for name in imported(path) if name.split(".")[0] == other], path.name


def test_what_both_know_is_not_hardware():
    for path in (FOLDER / "sizing").glob("*.py"):
        assert "amaranth" not in path.read_text(encoding="utf-8"), path.name
