"""The command line: one small file per command, each calls one function of :mod:`hwgen.api` and prints its result."""

__all__: list[str] = []
