"""Fixtures shared by the tests."""

import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]

# jsonschema, which nbformat imports, would spend five seconds on a grammar of web addresses.
sys.modules["rfc3987_syntax"] = None

# Side by side, each process computes with one thread, which costs less than two that meet.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items):
    """Files of the longest tests first, so that no process is left alone with one at the end."""
    long, slow = (
        {item.path for item in items if item.get_closest_marker(mark)} for mark in ("long", "slow")
    )
    items.sort(key=lambda item: (item.path not in long, item.path not in slow))


@pytest.fixture
def silence(capfd):
    """Nothing may be printed or warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert not caught
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def surroundings_unseen(monkeypatch):
    """No packages and no git are looked up, which takes about a second at each notebook's start."""
    from kidneyct_lib.study import provenance

    monkeypatch.setattr(provenance, "_required", lambda package: {})
    monkeypatch.setattr(provenance, "git_state", lambda root: {})


@pytest.fixture(scope="module")
def untraced():
    """Networks predict layer by layer: to trace one takes longer than a few small images do."""
    import keras

    def predict_on_batch(model, images):
        predictions = model(images, training=False)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, predictions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "predict_on_batch", predict_on_batch)
        yield


@pytest.fixture(scope="session")
def build_network():
    """Builder of a short ResNet50 with random weights for 64 x 64 pixels.

    Without trained BatchNorm statistics the values of a random network grow block by block until
    the softmax saturates and no gradient is left; damped blocks keep them in range.
    """
    from short_resnet import SHORT

    from kidneyct_lib.models import builder

    defaults = {"backbone": SHORT, "weights": "none", "image_size": 64, "crop_size": 96}
    defaults |= {
        "recipe": "published",
        "classes": ["Cyst", "Normal", "Stone", "Tumor"],
        "head_units": 32,
        "dropout": 0.3,
        "seed": 1,
    }

    def build(**changes):
        net = builder.build(builder.NetworkSettings(**defaults | changes))
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


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """A cluster of two workers; tests that want one skip where Dask is absent."""
    from local_cluster import Cluster

    both = Cluster(tmp_path_factory.mktemp("pair"))
    both.wait_for_workers(2)
    yield both
    both.close()


@pytest.fixture
def on_pair(pair, monkeypatch):
    """Independent work is done by the two workers."""
    monkeypatch.setenv("KIDNEYCT_SCHEDULER", pair.address)
    return pair


@pytest.fixture(scope="session")
def synthetic_probe():
    """Builder of a probe on synthetic patients whose features tell the patient, not the class.

    Each group has a centre of its own, drawn without regard to its class; its slices walk a
    little way from it, neighbours staying near each other.
    """
    from kidneyct_lib.audit.probes import Probe, logistic_regression

    def build(
        *, classes=("Normal", "Stone"), groups=12, slices=6, width=24, step=0.05, informed=0.0
    ):
        rng = np.random.default_rng(0)
        rows, features = [], []
        for code, label in enumerate(classes):
            for number in range(groups):
                centre = rng.normal(size=width)
                centre[code] += informed
                walk = centre + step * rng.normal(size=(slices, width)).cumsum(axis=0)
                features.append(walk)
                names = [f"{label}/{number}-{place}" for place in range(slices)]
                rows += [(name, label, name, code * groups + number) for name in names]
        table = pd.DataFrame(rows, columns=["path", "label", "sha256", "group"])
        features = np.concatenate(features).astype(np.float32)
        return Probe(logistic_regression(c=1.0), features, table, list(classes))

    return build
