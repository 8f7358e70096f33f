"""Fixtures shared by the tests."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def build_network():
    """Builder of ResNet50 with random weights for 64 x 64 pixels.

    Without trained BatchNorm statistics the values of a random ResNet50 grow block by block until
    the softmax saturates and no gradient is left; damped blocks keep them in range.
    """
    from kidneyct_lib import network

    defaults = {"backbone": "resnet50", "weights": "none", "image_size": 64, "head_units": 32}
    defaults |= {"classes": ["Cyst", "Normal", "Stone", "Tumor"], "dropout": 0.3, "seed": 1}

    def build(**changes):
        net = network.build(**defaults | changes)
        for layer in net.layers:
            if layer.name.endswith("_3_bn"):
                layer.gamma.assign(0.1 * layer.gamma)
        stem = net.get_layer("conv1_conv").kernel
        stem.assign(0.01 * stem)
        return net

    return build


@pytest.fixture(scope="session")
def real_axial() -> Path:
    """Folder of real axial slices; tests that want it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data" / "kidney-ct-axial"
    if not folder.is_dir():
        pytest.skip(f"no real slices at {folder}")
    return folder
