"""hwgen: from a trained CNN to a verified, multiplier-free FPGA accelerator.

``from hwgen import api`` gives the steps of the command line as functions.
"""

from typing import Any

from .errors import HwgenError

__all__ = ["HwgenError", "__version__", "api"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only when asked for: NumPy makes up most of the time that `import hwgen` would take.
    if name == "api":
        from importlib import import_module

        return import_module(".api", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
