"""Copies of busy registers: every load still reads the same function, from a register with few loads."""

import copy
from itertools import pairwise

import pytest

from hwgen.synth.fanout import copy_busy_registers

CLOCK, OUTSIDE = 2, 3


def cell(kind, pins, **attributes):
    directions = {pin: "output" if pin in ("Q", "Z") else "input" for pin in pins}
    return {
        "type": kind,
        "parameters": {},
        "attributes": attributes,
        "port_directions": directions,
        "connections": pins,
    }


def module(loads, *, keep=False, leaves=False):
    """A register with itself and ``loads`` LUTs as loads, half of them on two pins."""
    kept = {"keep": "1"} if keep else {}
    cells = {"busy": cell("TRELLIS_FF", {"CLK": [CLOCK], "DI": [100], "Q": [10]}, **kept)}
    cells["next"] = cell("LUT4", {"A": [10], "B": ["1"], "Z": [100]})
    for number in range(loads):
        second = [10] if number % 2 else ["0"]
        cells[f"pe{number // 4}.lane{number}"] = cell("LUT4", {"A": [10], "B": second, "Z": [200 + number]})
    ports = {"clk": {"direction": "input", "bits": [CLOCK]}}
    ports |= {"q": {"direction": "output", "bits": [10 if leaves else OUTSIDE]}}
    return {"ports": ports, "cells": cells, "netnames": {}}


def drivers(design):
    return {
        bit: (name, item)
        for name, item in design["cells"].items()
        for pin, bits in item["connections"].items()
        if item["port_directions"][pin] == "output"
        for bit in bits
    }


@pytest.mark.parametrize(("loads", "limit"), [(1, 4), (2, 4), (3, 4), (40, 4), (40, 7), (100, 64)])
def test_every_load_reads_the_same(loads, limit):
    before = module(loads)
    after = copy.deepcopy(before)
    made = copy_busy_registers(after, limit=limit)
    source = drivers(after)
    pins = {}
    for name, item in before["cells"].items():
        for pin, bits in item["connections"].items():
            if bits == [10] and item["port_directions"][pin] == "input":
                (bit,) = after["cells"][name]["connections"][pin]
                driver, register = source[bit]
                original = before["cells"]["busy"]["connections"]
                assert register["type"] == "TRELLIS_FF"
                assert {**register["connections"], "Q": [10]} == original
                pins.setdefault(driver, []).append(name)
            else:
                assert after["cells"][name]["connections"][pin] == bits
    total = sum(map(len, pins.values()))
    assert total == 1 + loads + loads // 2
    assert made == -(-total // limit) - 1 == len(after["cells"]) - len(before["cells"])
    assert all(len(names) <= limit for names in pins.values())
    # Neighbours stay together.
    order = sorted((names[0], names[-1]) for names in pins.values())
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(order))


@pytest.mark.parametrize("reason", ["keep", "leaves"])
def test_left_alone(reason):
    design = module(100, **{reason: True})
    before = copy.deepcopy(design)
    assert copy_busy_registers(design, limit=4) == 0
    assert design == before
