"""Planting faults: one piece of a function's source is replaced, for the duration of a test."""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

import pytest


def mutate(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, old: str, new: str) -> None:
    """Replace ``old``, which must occur exactly once, by ``new`` in the function ``owner.name``.

    ``owner`` is a class, or a module that uses the function. The fault is in the design itself, so the test fails
    loudly (rather than testing nothing) when the design no longer reads like that.
    """
    function = inspect.unwrap(getattr(owner, name))
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(old) != 1:
        pytest.fail(f"{owner.__name__}.{name} must contain {old!r} exactly once, not {source.count(old)} times")
    defined: dict[str, Any] = {}
    code = compile("from __future__ import annotations\n" + source.replace(old, new), f"<mutant of {name}>", "exec")
    exec(code, function.__globals__, defined)
    monkeypatch.setattr(owner, name, defined[name])
