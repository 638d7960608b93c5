"""The command line inside the test process, as the tests of all commands have it."""

from ..cli.conftest import hwgen

__all__ = ["hwgen"]
