"""Operations are held against published counts and against counts by hand."""

import keras
import pytest

from kidneyct_lib.models import builder, freezing, multiply_adds
from kidneyct_lib.models.small_cnn import small_cnn

PUBLISHED = {  # billion multiplications of one picture of 224 pixels, from the papers
    "resnet50": 3.8,  # https://arxiv.org/abs/1512.03385, table 1
    "densenet121": 2.87,  # https://arxiv.org/abs/1608.06993, half of figure 3's operations
    "efficientnetb0": 0.39,  # https://arxiv.org/abs/1905.11946, table 2
}
PARAMETERS = {  # millions without the top, https://keras.io/api/applications less 1000 classes
    "resnet50": 25.6 - 2.05,
    "densenet121": 8.1 - 1.03,
    "efficientnetb0": 5.3 - 1.28,
}


@pytest.mark.parametrize("backbone", list(PUBLISHED))
def test_costs_are_the_published_ones(backbone):
    settings = builder.BackboneSettings(backbone, "none", 224, 224, seed=3)
    result = multiply_adds.costs(builder.last_means(settings, region="kidneys"))
    assert result["gflops"] / 2 == pytest.approx(PUBLISHED[backbone], rel=0.03)
    assert result["parameters"] / 1e6 == pytest.approx(PARAMETERS[backbone], abs=0.06)


def test_costs_of_the_small_network_are_those_counted_by_hand():
    result = multiply_adds.costs(small_cnn(32, 4))
    kernels = [9 * 1 * 16, 9 * 16 * 32, 9 * 32 * 64, 9 * 64 * 128]
    places = [32**2, 16**2, 8**2, 4**2]
    multiplications = sum(k * n for k, n in zip(kernels, places, strict=True)) + 128 * 4
    assert result["gflops"] == pytest.approx(2e-9 * multiplications)
    normalised = 4 * (16 + 32 + 64 + 128)
    assert result["parameters"] == sum(kernels) + normalised + 128 * 4 + 4


@pytest.fixture(scope="module")
def resnet50():
    return builder.build(
        builder.NetworkSettings(
            recipe="published",
            backbone="resnet50",
            weights="none",
            image_size=224,
            classes=["Cyst", "Normal", "Stone", "Tumor"],
            head_units=512,
            dropout=0.3,
            seed=1,
            crop_size=224,
        )
    )


def test_resnet50_has_its_known_multiply_adds(resnet50):
    assert multiply_adds.forward(resnet50) == pytest.approx(3.86e9, rel=0.002)


def test_the_suffix_of_stage_2_has_its_known_multiply_adds(resnet50):
    freezing.unfreeze_last(resnet50, 50)
    cut = freezing.frozen_cut(resnet50)
    suffix, prefix = freezing.part(resnet50, cut, None), freezing.part(resnet50, None, cut)
    assert multiply_adds.forward(suffix) == pytest.approx(1.17e9, rel=0.005)
    whole = multiply_adds.forward(suffix) + multiply_adds.forward(prefix)
    assert whole == multiply_adds.forward(resnet50)
    assert 2.5 < multiply_adds.training(suffix) / multiply_adds.forward(suffix) < 3


def test_convolutions_count_like_the_loop_that_computes_them():
    x = keras.Input((9, 7, 4))
    plain = keras.layers.Conv2D(6, (3, 2), strides=2, groups=2)
    depthwise = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)
    model = keras.Model(x, [plain(x), depthwise(x)])
    assert multiply_adds.of_layer(plain) == 4 * 3 * 6 * (3 * 2 * 2)
    assert multiply_adds.of_layer(depthwise) == 9 * 7 * 8 * (3 * 3)
    assert multiply_adds.forward(model) == 864 + 4536


def test_training_counts_only_the_gradients_that_are_needed():
    x = keras.Input((8,))
    first, second, third = (keras.layers.Dense(8) for _ in range(3))
    model = keras.Model(x, third(second(first(x))))
    assert multiply_adds.training(model) == 64 * (2 + 3 + 3)
    first.trainable = False
    assert multiply_adds.training(model) == 64 * (1 + 2 + 3)
    third.trainable = False
    assert multiply_adds.training(model) == 64 * (1 + 2 + 2)


def test_what_cannot_be_counted_is_refused():
    x = keras.Input((5,), dtype="int32")
    model = keras.Model(x, keras.layers.Embedding(10, 3)(x))
    with pytest.raises(ValueError, match="can't be counted"):
        multiply_adds.forward(model)
