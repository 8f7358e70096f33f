"""What may train: the layers unfrozen, and where the longest frozen prefix of a network ends."""

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.models.builder import POOL, PROBABILITIES
from kidneyct_lib.models.keras_setup import keras


def body_layers(network: keras.Model) -> list[keras.layers.Layer]:
    """Layers of the backbone in topological order, input and preprocessing included."""
    names = [layer.name for layer in network.layers]
    return network.layers[: names.index(POOL)]


def unfreeze_last(network: keras.Model, count: int) -> None:
    """Let the head and the last `count` layers of the backbone train, and nothing else.

    BatchNorm and activation layers count too, as in the published recipe. Recompile afterwards.

    Raises
    ------
    StudyError
        If the backbone has fewer layers.
    """
    layers = body_layers(network)
    if count > len(layers):
        raise StudyError(f"unfreeze_layers = {count}, but the backbone has {len(layers)} layers.")
    for position, layer in enumerate(network.layers):
        layer.trainable = position >= len(layers) - count


def frozen_cut(network: keras.Model) -> str:
    """Name of the layer where the longest frozen prefix ends.

    The last layer that every path from input to output passes, with nothing trainable up to it.
    For ResNet50 with its last 50 layers unfrozen: `conv4_block4_out`.
    """
    best, open_until = None, 0
    position = {layer.name: i for i, layer in enumerate(network.layers)}
    for i, layer in enumerate(network.layers[:-1]):
        if layer.trainable and layer.weights:
            break
        if open_until <= i:  # no earlier layer is read by a later one: all paths meet here
            best = layer.name
        readers = [node.operation.name for node in layer._outbound_nodes]  # other networks' too
        open_until = max(open_until, *(position[name] for name in readers if name in position))
    if best is None:
        raise StudyError("Nothing is frozen at the network's start, so there is no prefix to keep.")
    return best


def part(network: keras.Model, start: str | None, end: str | None) -> keras.Model:
    """The network from the output of layer `start` to the output of layer `end`, layers shared.

    None means the network's own input or output.
    """
    source = network.input if start is None else network.get_layer(start).output
    target = network.output if end is None else network.get_layer(end).output
    return keras.Model(source, target, name=f"{start or 'image'}_to_{end or PROBABILITIES}")
