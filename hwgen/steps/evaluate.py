"""A network beside its float model."""

from __future__ import annotations

import time
from math import prod

from ..files import check_writable, existing_file, write_json
from ..tools import Progress
from .common import PathLike, Result, check_labels, fraction, result_of, silent, since

__all__ = ["evaluate"]


def evaluate(network: PathLike, data: PathLike, *, progress: Progress | None = None) -> Result:
    """Compare the network file ``network`` with the float model beside it, on the ``x`` and ``y`` of ``data`` (.npz).

    Returns ``network, samples, float_accuracy, accuracy, weight_similarity, layers[] (name, sqnr_db,
    weight_similarity), seconds``: accuracies are 0..1, or None where there are no labels; similarities are cosines
    after chain normalisation, None where there are no weights.
    """
    from .. import evaluate as evaluator
    from .. import store
    from ..data import inputs_of, load_data
    from ..floatmodel import kept_model

    started = time.monotonic()
    path = existing_file(network, "network file")
    check_writable(record := path.with_suffix(".eval.json"))
    loaded = store.load(path)
    samples = load_data(data, inputs := inputs_of(loaded))
    classes = prod(loaded.tensor(loaded.outputs[0]).shape)
    check_labels(data, samples.y, classes)
    float_network = kept_model(loaded, path)
    x = samples.channel_last(inputs)
    figures = evaluator.evaluate(float_network, loaded, x, samples.y, progress=fraction(progress or silent))
    result = result_of(network=path, **figures, seconds=since(started))
    write_json(record, result)
    return result
