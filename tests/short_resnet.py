"""ResNet50 of few blocks and narrow layers, under the names of its layers, for tests.

What tests of training, maps and exports ask does not hang on its depth, and a graph of a third of
the layers is built and traced in a third of the time. ResNet50 itself is tested in `tests/models`
and in the executed notebooks.
"""

import keras

from kidneyct_lib.models.backbones import BACKBONES, Backbone, CaffePreprocessing

SHORT = "short_resnet"
_BLOCKS = {2: [3], 3: [4], 4: [6], 5: [1, 2, 3]}  # of ResNet50's, with the last of each stage
_CHANNELS = 8  # of the first stage; of ResNet50's 64


def short_resnet(*, include_top, weights, input_tensor):
    """Build it as `keras.applications.ResNet50` builds its own, on a tensor."""
    assert (include_top, weights) == (False, None)
    layers = keras.layers
    x = layers.ZeroPadding2D(3, name="conv1_pad")(input_tensor)
    x = _normalised(layers.Conv2D(_CHANNELS, 7, 2, name="conv1_conv")(x), "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
    for stage, blocks in _BLOCKS.items():
        for block in blocks:
            x = _block(x, stage, f"conv{stage}_block{block}", first=block == blocks[0])
    return keras.Model(keras.utils.get_source_inputs(input_tensor), x)


def _block(x, stage, name, *, first):
    """One bottleneck; the first of a stage has a convolution on the shortcut, too."""
    layers, channels = keras.layers, _CHANNELS * 2 ** (stage - 2)
    strides = 2 if first and stage > 2 else 1
    shortcut = x
    if first:
        shortcut = layers.Conv2D(4 * channels, 1, strides, name=f"{name}_0_conv")(x)
        shortcut = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_0_bn")(shortcut)
    x = _normalised(layers.Conv2D(channels, 1, strides, name=f"{name}_1_conv")(x), f"{name}_1")
    x = layers.Conv2D(channels, 3, padding="same", name=f"{name}_2_conv")(x)
    x = layers.Conv2D(4 * channels, 1, name=f"{name}_3_conv")(_normalised(x, f"{name}_2"))
    x = layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_3_bn")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.ReLU(name=f"{name}_out")(x)


def _normalised(x, name):
    x = keras.layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


BACKBONES[SHORT] = Backbone(short_resnet, CaffePreprocessing, "conv5_block3_out")
