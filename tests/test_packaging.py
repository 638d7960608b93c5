"""What pip installs: every package on disk is listed, and the wheel holds the mapped folders and the demo's files."""

import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def packages_on_disk() -> set[str]:
    """Dotted names of every folder with an ``__init__.py``, as they are installed."""
    found = set()
    for top, name in (("hwgen", "hwgen"), ("sim", "hwgen.sim"), ("boards", "hwgen.boards")):
        for file in (ROOT / top).rglob("__init__.py"):
            found.add(".".join((name, *file.parent.relative_to(ROOT / top).parts)))
    return found


def test_every_package_is_listed():
    """A forgotten one would work from a checkout and be missing from the wheel."""
    assert set(SETUPTOOLS["packages"]) == packages_on_disk()
    assert SETUPTOOLS["packages"] == sorted(SETUPTOOLS["packages"])


def test_no_module_outside_a_package():
    """A folder of modules without ``__init__.py`` would not be installed either."""
    folders = {file.parent for top in ("hwgen", "sim", "boards") for file in (ROOT / top).rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_dependencies_state_their_reason():
    """One line of reason per dependency, in the comment behind it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    lines = [line.strip() for line in project.splitlines() if line.startswith('    "')]
    assert len(lines) >= len(PROJECT["project"]["dependencies"])
    assert [line for line in lines if ",  # " not in line and not line.startswith('"hwgen[')] == []


def _setuptools_is_new_enough() -> bool:
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of the sources, built from a copy so that nothing of an earlier build is in it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("hwgen", "sim", "boards"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    # Without isolation where the environment can build it; else pip fetches setuptools as it did to install hwgen.
    isolation = ["--no-build-isolation"] if _setuptools_is_new_enough() else []
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", *isolation]
    done = subprocess.run([*command, "--wheel-dir", folder, source], capture_output=True, text=True, check=False)
    if done.returncode and not isolation and "No matching distribution found for setuptools" in done.stderr:
        pytest.skip("setuptools>=77 is not installed and no package index can be reached, so no wheel can be built")
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("hwgen-*.whl")
    return built


def test_wheel_holds_every_source_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set()
    for top, prefix in (("hwgen", "hwgen"), ("sim", "hwgen/sim"), ("boards", "hwgen/boards")):
        files = [file for kind in ("*.py", "*.v", "py.typed") for file in (ROOT / top).rglob(kind)]
        expected |= {f"{prefix}/{file.relative_to(ROOT / top).as_posix()}" for file in files}
    expected |= {f"hwgen/demo/{name}" for name in ("digits.onnx", "digits_calib.npz", "digits_test.npz")}
    assert names == expected


def test_wheel_installs_only_hwgen(wheel):
    """No global package called ``sim`` or ``boards``, and the command is there."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        (scripts,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        text = archive.read(scripts).decode()
    version = PROJECT["project"]["version"]
    assert tops == {"hwgen", f"hwgen-{version}.dist-info"}
    assert "hwgen = hwgen.cli.main:main" in text


def test_versions_agree():
    import hwgen

    assert hwgen.__version__ == PROJECT["project"]["version"] == importlib.metadata.version("hwgen")
