"""Running the command line inside the test process, with what it printed and how it exited."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from hwgen.cli.main import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def hwgen(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``hwgen("check", path)``: exit code, standard output and standard error, down to the file descriptors."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Outcome(exit.value.code or 0, out, err)

    return run
