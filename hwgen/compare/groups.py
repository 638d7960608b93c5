"""Classes that count as one: accuracy where only the kind of an object matters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import HwgenError

__all__ = ["Groups"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Groups:
    """The group of each class, (classes,) int64. A class that no group names is a group of its own.

    What is right by class is right by group, whatever the groups are: ``coarse accuracy >= fine accuracy``.
    """

    of_class: IntArray

    @classmethod
    def parse(cls, text: str, classes: int) -> Groups:
        """Groups between semicolons, each of class numbers between commas: ``"0,1,8,9;2,3,4,5,6,7"``.

        classes: of the network, numbered from 0. Raises :class:`HwgenError` for anything else.
        """
        of_class = np.arange(classes) + classes
        seen: set[int] = set()
        for index, part in enumerate(text.split(";")):
            for item in part.split(","):
                if not item.strip().isdecimal():
                    raise HwgenError(
                        f"groups {text!r} must be class numbers between commas, groups between semicolons: "
                        "0,1,8,9;2,3,4,5,6,7"
                    )
                number = int(item)
                if number >= classes:
                    raise HwgenError(f"groups name class {number}, but the network has {classes}, numbered from 0")
                if number in seen:
                    raise HwgenError(f"groups name class {number} twice; a class belongs to one group")
                seen.add(number)
                of_class[number] = index
        return cls(of_class)

    def accuracy(self, predicted: IntArray, labels: IntArray) -> float:
        """The share of samples whose predicted class is in the group of the right one, 0..1."""
        return float((self.of_class[predicted] == self.of_class[labels]).mean())
