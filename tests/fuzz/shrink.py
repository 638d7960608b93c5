"""Shrinking: from a recipe that fails to the smallest one found that fails in the same way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from .models import build_model, describe_model
from .recipe import Recipe, build, describe

__all__ = ["MODELS", "NETWORKS", "Family", "prune", "shrink"]


@dataclass(frozen=True)
class Family:
    """What recipes describe. build: ``ValueError`` for a recipe of nothing. describe: a tensor as an input instead."""

    build: Callable[[Recipe], object]
    describe: Callable[[Recipe, str], dict[str, Any] | None]


NETWORKS = Family(build, describe)

MODELS = Family(build_model, describe_model)


def shrink(recipe: Recipe, fails: Callable[[Recipe], bool], seconds: float = 120, family: Family = NETWORKS) -> Recipe:
    """A smaller recipe for which ``fails`` is still true, as small as ``seconds`` allow.

    Given the time, no single simplification of the result fails. Recipes that cannot be built are never asked about.
    """
    end = time.monotonic() + seconds
    tried = {_key(recipe)}
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(recipe, family):
            if time.monotonic() > end:
                return recipe
            if _key(candidate) in tried:
                continue
            tried.add(_key(candidate))
            if _legal(candidate, family) and fails(candidate):
                recipe, progress = candidate, True
                break
    return recipe


def prune(recipe: Recipe) -> Recipe:
    """``recipe`` without the layers and inputs that its outputs do not need."""
    needed = set(recipe["outputs"])
    for entry in reversed(recipe["layers"]):
        if entry["name"] in needed:
            needed.update(entry["sources"])
    kept = {part: [entry for entry in recipe[part] if entry["name"] in needed] for part in ("inputs", "layers")}
    return recipe | kept


def _key(recipe: Recipe) -> str:
    return json.dumps(recipe, sort_keys=True)


def _legal(recipe: Recipe, family: Family) -> bool:
    try:
        family.build(recipe)
    except (ValueError, KeyError):
        return False
    return True


def _smaller(recipe: Recipe, family: Family) -> Iterator[Recipe]:
    """Smaller recipes, the boldest cuts first."""
    for entry in recipe["layers"][:-1] if len(recipe["layers"]) > 1 else []:
        yield prune(recipe | {"outputs": [entry["name"]]})
    for name in recipe["outputs"] if len(recipe["outputs"]) > 1 else []:
        yield prune(recipe | {"outputs": [other for other in recipe["outputs"] if other != name]})
    for entry in reversed(recipe["layers"]):
        yield _as_input(recipe, entry["name"], family)
        for source in dict.fromkeys(entry["sources"]):
            yield _without(recipe, entry["name"], source)
    for entry in recipe["inputs"][1:]:
        yield _without(recipe, entry["name"], recipe["inputs"][0]["name"])
    if recipe["frames"] > 1:
        yield recipe | {"frames": recipe["frames"] - 1}
    for key in ("stall_in", "stall_out"):
        if recipe.get("stalls", {}).get(key):
            yield recipe | {"stalls": recipe["stalls"] | {key: 0.0}}
    for axis in range(3):  # inputs that meet can only shrink together
        for smaller in (lambda size: 1, lambda size: size // 2, lambda size: size - 1):
            shapes = [list(entry["shape"]) for entry in recipe["inputs"]]
            for shape in shapes:
                shape[axis] = max(1, smaller(shape[axis]))
            pairs = zip(recipe["inputs"], shapes, strict=True)
            yield recipe | {"inputs": [entry | {"shape": shape} for entry, shape in pairs]}
    for part, simpler in (("inputs", _simpler_input), ("layers", _simpler_layer)):
        for index, entry in enumerate(recipe[part]):
            for changes in simpler(entry):
                changed = list(recipe[part])
                changed[index] = entry | changes
                yield recipe | {part: changed}


def _as_input(recipe: Recipe, name: str, family: Family) -> Recipe:
    """Layer ``name`` becomes an input: what made its values is gone. It stays where it is an output."""
    entry = None if name in recipe["outputs"] else family.describe(recipe, name)
    if entry is None:
        return recipe
    layers = [other for other in recipe["layers"] if other["name"] != name]
    return prune(recipe | {"inputs": [*recipe["inputs"], entry], "layers": layers})


def _without(recipe: Recipe, name: str, source: str) -> Recipe:
    """Whatever reads layer or input ``name`` reads ``source`` instead."""
    changed = deepcopy(recipe)
    for part in ("inputs", "layers"):
        changed[part] = [entry for entry in changed[part] if entry["name"] != name]
    for entry in changed["layers"]:
        entry["sources"] = [source if read == name else read for read in entry["sources"]]
    changed["outputs"] = list(dict.fromkeys(source if read == name else read for read in changed["outputs"]))
    return prune(changed)


def _simpler_interval(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    lo, hi = entry["interval"]
    for simple in ([0, 3], [-2, 1], [0, 15]):
        if hi - lo > simple[1] - simple[0]:
            yield {"interval": simple}


def _simpler_input(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shape = entry["shape"]
    for axis in range(3):
        for size in dict.fromkeys((1, shape[axis] // 2, shape[axis] - 1)):
            if 1 <= size < shape[axis]:
                yield {"shape": [*shape[:axis], size, *shape[axis + 1 :]]}
    if "interval" in entry:
        yield from _simpler_interval(entry)


_PLAIN: dict[str, Any] = {
    "fold": 0,
    "unroll": 0,
    "book": "ternary",
    "coarse": False,
    "count_inside": False,
    "per_channel": False,
    "groups": 1,
    "stride": [1, 1],
    "dilation": [1, 1],
    "pads": [0, 0, 0, 0],
    "kernel": [1, 1],
    "auto_pad": "",
    "bias": False,
    "ceil": 0,
    "count_padding": 0,
    "extra": [0, 0],
    "swap": False,
    "value": 0.0,
}
"""Parameters at their simplest."""


def _simpler_layer(entry: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if len(entry["sources"]) > 2:
        for index in range(len(entry["sources"])):
            yield {"sources": [*entry["sources"][:index], *entry["sources"][index + 1 :]]}
    if isinstance(entry.get("outputs"), int):
        for count in dict.fromkeys((1, entry["outputs"] // 2, entry["outputs"] - 1)):
            if 1 <= count < entry["outputs"]:
                yield {"outputs": count}
    elif "outputs" in entry:
        for axis, size in enumerate(entry["outputs"]):
            if size > 1:
                yield {"outputs": [*entry["outputs"][:axis], size // 2, *entry["outputs"][axis + 1 :]]}
    for key, plain in _PLAIN.items():
        if key not in entry or entry[key] == plain:
            continue
        # A depthwise layer that becomes an ordinary one needs outputs of its own; one is the simplest.
        yield {key: plain} | ({"outputs": 1} if key == "groups" and not entry["outputs"] else {})
        if isinstance(entry[key], list):
            for index, value in enumerate(entry[key]):
                if value > plain[index]:
                    yield {key: [*entry[key][:index], value - 1, *entry[key][index + 1 :]]}
    if entry["kind"] == "activation" and entry["how"] != "relu":
        yield {"how": "relu"}
    for key in ("y", "x", "range"):
        if key in entry:
            start, stop, step = entry[key]
            if stop - start > 1:
                yield {key: [start, stop - 1, step]}
                yield {key: [start + 1, stop, step]}
            if step > 1:
                yield {key: [start, stop, 1]}
            if start < 0:
                yield {key: [0, max(stop, 1), step]}
    if entry.get("channels", [None, None, 1]) != [None, None, 1]:
        yield {"channels": [None, None, 1]}
    if "interval" in entry:
        yield from _simpler_interval(entry)
