"""The list of commands, ``--version``, ``--help``, and how errors leave the program."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hwgen as package
from hwgen import api, demo
from hwgen.errors import HwgenError

COMMANDS = ("check", "quantize", "eval", "compare", "drop", "export", "generate", "simulate", "synth", "build", "demo")


def test_version(hwgen):
    code, out, err = hwgen("--version")
    assert (code, out, err) == (0, f"hwgen {package.__version__}\n", "")


def test_installed_command():
    """The entry point in pyproject.toml is this program."""
    program = Path(sys.executable).parent / "hwgen"
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"hwgen {package.__version__}\n"


def test_help_lists_every_command(hwgen):
    code, out, _ = hwgen("--help")
    assert code == 0
    listed = [line.split()[0] for line in out.partition("Commands:\n")[2].splitlines() if line.strip()]
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(hwgen, command):
    code, out, err = hwgen(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: hwgen {command} ")
    assert "--json" in out


@pytest.mark.parametrize("command", COMMANDS[:-1])
def test_missing_arguments(hwgen, command):
    code, out, err = hwgen(command)
    assert (code, out) == (2, "")
    assert "Missing argument" in err or "Missing option" in err


@pytest.mark.parametrize(
    "arguments", [("no-such-command",), ("demo", "--no-such-option"), ("synth", "x", "--frames", "1")]
)
def test_usage_errors(hwgen, arguments):
    code, out, err = hwgen(*arguments)
    assert (code, out) == (2, "")
    assert "Error: No such" in err


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (
            HwgenError("the cat is [bold]on[/bold] the board; remove it"),
            2,
            "error: the cat is [bold]on[/bold] the board; remove it\n",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "secret.npz"), 2, "error: Permission denied: secret.npz\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "error: No space left on device\n"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_errors_are_one_sentence(hwgen, monkeypatch, raised, code, message, as_json):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr(api, "synth", fail)
    assert hwgen("synth", "folder", *["--json"] * as_json) == (code, "", message)


def test_bugs_keep_their_traceback(monkeypatch):
    """Only users' errors are softened."""
    from hwgen.cli.main import main

    def fail(*args, **kwargs):
        raise ValueError("bug")

    monkeypatch.setattr(api, "synth", fail)
    with pytest.raises(ValueError, match="bug"):
        main(["synth", "folder"])


def test_import_is_fast():
    """``import hwgen`` and ``hwgen --version`` load neither NumPy's users nor the hardware language."""
    heavy = "{'onnx', 'amaranth', 'amaranth_boards', 'cocotb', 'onnxruntime'}"
    script = f"import sys, hwgen.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    script = "import sys, hwgen; print('numpy' in sys.modules, hwgen.api.__name__)"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False hwgen.api\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("number", "code", "line"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_signals_are_exceptions(hwgen, monkeypatch, number, code, line, as_json):
    """What runs is left through its ``finally`` clauses, which end child processes; afterwards all is as before."""
    # A shell that runs the tests in the background has them ignore SIGINT.
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited, ended = signal.signal(number, usual), []
    before = signal.getsignal(number)

    def stopped(*args, **kwargs):
        try:
            signal.raise_signal(number)
        finally:
            ended.append(True)

    monkeypatch.setattr(api, "synth", stopped)
    try:
        assert hwgen("synth", "folder", *["--json"] * as_json) == (code, "", line)
        assert ended == [True]
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, inherited)


def test_an_ignored_signal_stays_ignored(hwgen, monkeypatch):
    """As a shell leaves it in what it runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(api, "synth", lambda *args, **kwargs: signal.raise_signal(signal.SIGINT) or {})
        assert hwgen("synth", "folder", "--json") == (0, "{}\n", "")
    finally:
        signal.signal(signal.SIGINT, before)


def test_interrupt_from_outside(tmp_path):
    """Ctrl-C while a model is read, from a pipe that nobody writes to."""
    fifo = tmp_path / "net.npz"
    os.mkfifo(fifo)
    script = f"import hwgen.cli.main as m, hwgen.api as api; api.check = lambda *a, **k: open({str(fifo)!r}).read(); "
    script += "m.main(['check', 'm.onnx'])"
    # A shell in the background may have left the signal ignored; the child starts with Python's own handler.
    restore = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen([sys.executable, "-P", "-c", restore + script], stderr=subprocess.PIPE, text=True) as process:
        descriptor = os.open(fifo, os.O_WRONLY)  # returns when the child has opened its end
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        os.close(descriptor)
    assert (process.returncode, err) == (130, "interrupted\n")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("check", demo.model_path()), ("check", demo.model_path(), "--json")]
)
def test_closed_pipe(arguments):
    """``hwgen ... | head -1`` is not "it differs from the reference", and nothing is said about it."""
    program = Path(sys.executable).parent / "hwgen"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([program, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("closed", "err"), [(">&-", "error: nothing.onnx does not exist"), ("2>&-", ""), (">&- 2>&-", "")]
)
def test_closed_streams(tmp_path, closed, err):
    program = Path(sys.executable).parent / "hwgen"
    for model, code in (("nothing.onnx", 2), (demo.model_path(), 0)):
        command = ["sh", "-c", f'exec "$0" check "$1" {closed}', program, model]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code
        assert done.stderr.startswith(err if code else "")
        assert "Traceback" not in done.stderr
        assert "error" not in done.stdout
