"""How weights become codes: the methods by name."""

from __future__ import annotations

from enum import Enum

from ..errors import HwgenError

__all__ = ["DEFAULT_METHOD", "Method", "method_of"]


class Method(Enum):
    """PLAIN: each weight on its own, to the nearest level. FEEDBACK: see :mod:`hwgen.quantize.feedback`."""

    PLAIN = "plain"
    FEEDBACK = "feedback"


DEFAULT_METHOD = Method.PLAIN.value
"""The method that is used when none is asked for."""


def method_of(name: str | Method) -> Method:
    """The method called ``name``; :class:`HwgenError` when there is none."""
    try:
        return Method(name)
    except ValueError:
        known = ", ".join(method.value for method in Method)
        raise HwgenError(f"there is no quantization method {name!r}; choose one of {known}") from None
