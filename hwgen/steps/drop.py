"""A network of nested codes to one of fewer terms."""

from __future__ import annotations

import time

from ..figures import layer_rows
from ..files import check_writable, existing_file, write_json
from ..tools import Progress
from .common import PathLike, Result, result_of, silent, since

__all__ = ["drop"]


def drop(
    network: PathLike,
    output: PathLike,
    *,
    terms: int,
    calibration: PathLike | None = None,
    progress: Progress | None = None,
) -> Result:
    """Cut the nested codes of the network file ``network`` down to their first ``terms`` terms, and write ``output``.

    calibration: data (.npz) whose ``x`` corrects the biases for the coarser weights; without it they stay. The float
    model beside ``network`` comes along. Returns ``network, identity, terms, samples`` (None without calibration),
    ``layers[]`` as ``quantize`` does, ``notes, seconds``.
    """
    from .. import store
    from ..data import inputs_of, load_data
    from ..floatmodel import companion, keep_model, kept_model
    from ..quantize.layering import drop as cut
    from ..quantize.rebias import rebias

    started = time.monotonic()
    source, place = existing_file(network, "network file"), store.check_place(output)
    check_writable(place)
    loaded = store.load(source)
    coarse = cut(loaded, terms)
    samples = None if calibration is None else load_data(calibration, inputs := inputs_of(loaded))
    if samples is not None:
        (progress or silent)("correcting biases")
        coarse = rebias(coarse, loaded, samples.channel_last(inputs))
    if companion(source).is_file():
        kept_model(loaded, source)  # a model of another network must not be passed off as this one's
        keep_model(coarse, companion(source), place)
    store.save(coarse, place)
    result = result_of(
        network=place,
        identity=store.identity(coarse),
        terms=terms,
        samples=None if samples is None else len(samples),
        layers=layer_rows(coarse),
        notes=coarse.notes,
        seconds=since(started),
    )
    write_json(place.with_suffix(".drop.json"), result)
    return result
