"""The one exception that a user of hwgen is meant to see.

Everything that a user can cause (a wrong file, shape, board, option, a missing tool) is raised as
``HwgenError`` with one clear sentence; the command line prints the sentence and exits with code 2.
Programming errors inside hwgen stay ``TypeError``/``ValueError``/``AssertionError`` and keep their traceback.
"""

__all__ = ["HwgenError"]


class HwgenError(Exception):
    """One sentence that tells a user what is wrong and, where known, what to do."""
