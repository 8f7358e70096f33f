"""Whether class maps hang on what a network has learnt: weights are shuffled from the head down.

The cascading randomization of https://arxiv.org/abs/1810.03292. A map that stays as it is while the
weights that should explain it are randomized shows the image, not what the network makes of it.
"""

from collections.abc import Mapping

import numpy as np
from scipy.stats import spearmanr

from kidneyct_lib.evaluation.bootstrap import Bootstrap
from kidneyct_lib.interpretability import grad_cam
from kidneyct_lib.models import freezing
from kidneyct_lib.models.keras_setup import keras

TRAINED = "trained"
"""The first step of a cascade: weights as they were learnt."""


def stages(net: keras.Model) -> dict[str, list[keras.layers.Layer]]:
    """Layers with weights by the part of the network they belong to, from the head down.

    Parameters
    ----------
    net
        As built by `builder.build` for either recipe.

    Returns
    -------
    dict of str to list of layers
        For ResNet50: ``head``, ``conv5``, ``conv4``, ``conv3``, ``conv2``, ``conv1``.
    """
    body = freezing.body_layers(net)
    result = {"head": [layer for layer in net.layers[len(body) :] if layer.weights]}
    for layer in reversed(body):
        if layer.weights:
            result.setdefault(layer.name.split("_")[0], []).append(layer)
    return result


def shuffle(layers: list[keras.layers.Layer], rng: np.random.Generator) -> None:
    """Shuffle the values within each weight tensor of some layers.

    Nothing that was learnt of an order is left, but every tensor keeps its values, so that what
    the maps lose is not lost to another scale, and variances of BatchNorm stay above 0. New draws
    from the layers' initialisers would leave BatchNorm without effect: activations then grow
    block by block.
    """
    for layer in layers:
        layer.set_weights([rng.permuted(w.ravel()).reshape(w.shape) for w in layer.get_weights()])


def cascade(
    net: keras.Model, images: np.ndarray, codes: np.ndarray, *, draws: int, batch: int, seed: int
) -> dict[str, np.ndarray]:
    """Draw maps while the weights are shuffled stage by stage, from the head down to the stem.

    Parameters
    ----------
    net
        As built by `builder.build` for either recipe, trained; its weights are as before
        afterwards, also after an error.
    images, codes
        Gray slices, uint8 (N, S, S); the class whose map is drawn of each, int (N,), the same one
        at each step.
    draws
        How often the cascade is gone through, each time with other shuffles. One shuffle of the
        head can happen to leave a map alike, or turn it over.
    batch, seed
        Slices at a time; seed of the shuffles.

    Returns
    -------
    dict of str to ndarray
        `TRAINED`, then each of `stages`: maps float32 (draws, N, h, w) with the weights of this
        stage and of all above it shuffled; the trained ones are the same in each draw.
    """
    trained = [np.array(value) for value in net.get_weights()]
    net_with_maps = grad_cam.with_class_maps(net)  # one graph for all steps: they differ in weights

    def maps() -> np.ndarray:
        grad_cam.copy_head(net, net_with_maps)
        return grad_cam.of_classes(net_with_maps, images, codes, batch=batch)

    result = {TRAINED: [maps()] * draws}
    try:
        for draw in range(draws):
            rng = np.random.default_rng([seed, draw])
            net.set_weights(trained)
            for step, layers in stages(net).items():
                shuffle(layers, rng)
                result.setdefault(step, []).append(maps())
    finally:
        net.set_weights(trained)
    return {step: np.stack(drawn) for step, drawn in result.items()}


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two maps (h, w) over their places, -1 to 1.

    Places where both maps are 0 are left out: the patient recipe's maps are 0 outside its crops,
    whatever the weights are. Maps that are equal have 1; else, a map that is the same everywhere
    has 0.
    """
    if np.array_equal(one, other):
        return 1.0
    there = (one != 0) | (other != 0)
    one, other = one[there], other[there]
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def summarise(
    maps: Mapping[str, np.ndarray], group: np.ndarray, *, bootstrap: Bootstrap
) -> list[dict]:
    """Tell how like the trained network's maps are at each step.

    Parameters
    ----------
    maps
        From `cascade`.
    group, bootstrap
        (N,): each slice's group; resamples of the groups.

    Returns
    -------
    list of dicts of plain values, one per step: ``step``, ``correlation`` (mean of `likeness` over
    slices and draws), ``ci95`` (its interval over groups; other draws would move it further) and
    ``unsigned`` (mean of its size: far above 0 beside a correlation about 0 where maps stay, but
    turn over in some draws).
    """
    rows = []
    for step, drawn in maps.items():
        pairs = zip(maps[TRAINED], drawn, strict=True)
        alike = np.array([[*map(likeness, *pair)] for pair in pairs])
        mean = alike.mean(axis=0)
        found = bootstrap.ratio("correlation", mean, np.ones(len(mean)), group, bounds=(-1, 1))
        row = {"step": step, "correlation": found["correlation"], "ci95": found["correlation_ci95"]}
        rows.append(row | {"unsigned": float(np.abs(alike).mean())})
    return rows
