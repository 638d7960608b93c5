"""Classes that count as one: nothing that is right becomes wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.compare import Groups
from hwgen.errors import HwgenError


def test_groups():
    groups = Groups.parse("0, 1,5;2,3", 7)
    of = groups.of_class.tolist()
    assert of[0] == of[1] == of[5]
    assert of[2] == of[3]
    # 4 and 6 are in no group: each is one of its own.
    assert len(set(of)) == 4


def test_accuracy():
    groups = Groups.parse("0,1;2,3", 4)
    predicted, labels = np.array([0, 1, 2, 3, 0]), np.array([1, 1, 3, 0, 2])
    assert groups.accuracy(predicted, labels) == 3 / 5


@given(st.data())
def test_coarse_is_never_worse_than_fine(data):
    classes = data.draw(st.integers(1, 12))
    of_class = data.draw(st.lists(st.integers(0, 5), min_size=classes, max_size=classes))
    draw = st.lists(st.integers(0, classes - 1), min_size=20, max_size=20)
    predicted, labels = np.array(data.draw(draw)), np.array(data.draw(draw))
    coarse = Groups(np.array(of_class)).accuracy(predicted, labels)
    assert coarse >= (predicted == labels).mean()
    assert Groups(np.zeros(classes, int)).accuracy(predicted, labels) == 1
    assert Groups(np.arange(classes)).accuracy(predicted, labels) == (predicted == labels).mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be class numbers between commas"),
        ("0,1;", "must be class numbers between commas"),
        ("cats;dogs", "must be class numbers between commas"),
        ("0,-1", "must be class numbers between commas"),
        ("0,1;2,4", "name class 4, but the network has 4, numbered from 0"),
        ("0,1;2,1", "name class 1 twice"),
    ],
)
def test_refused(text, message):
    with pytest.raises(HwgenError, match=message):
        Groups.parse(text, 4)
