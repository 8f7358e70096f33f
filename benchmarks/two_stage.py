"""The study's two stages on activations computed once: `python -m benchmarks.two_stage JOB.json`.

One split scheme, through the library that the notebooks call.
"""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import Clock, read_job, write_result
from kidneyct_lib.data import catalog
from kidneyct_lib.models import builder, freezing, multiply_adds
from kidneyct_lib.models.builder import NetworkSettings
from kidneyct_lib.models.keras_setup import keras
from kidneyct_lib.training import recipes
from kidneyct_lib.training.feature_cache import Activations, Storage
from kidneyct_lib.training.stage import StageSettings


def build(job: dict) -> keras.Model:
    """The job's network with its initial weights."""
    settings = NetworkSettings.of(job, recipe="published", crop_size=job["image_size"])
    return builder.build(settings)


def save_initial(net: keras.Model, path: str) -> None:
    """Save the initial weights by layer name, for the other side to start from."""
    arrays = {
        f"{layer.name}/{i}": value
        for layer in net.layers
        for i, value in enumerate(layer.get_weights())
    }
    np.savez(path, **arrays)


def stage_settings(job: dict, stage: int) -> StageSettings:
    """All epochs: patience never ends a stage here."""
    epochs = job[f"stage{stage}_epochs"]
    rate = job[f"stage{stage}_learning_rate"]
    precision = job["stage2_precision"] if stage == 2 else "float32"
    own = (job["batch_size"], job["seed"], precision)
    return StageSettings(f"stage {stage}", epochs, epochs, rate, *own)


def work(net: keras.Model, job: dict, rows: pd.DataFrame, cut: str) -> dict[str, int]:
    """Multiply-adds of each phase: what the phase computed, over all its images and epochs."""
    images, part = len(rows), rows["split"].value_counts()
    freezing.unfreeze_last(net, job["unfreeze_layers"])
    suffix = freezing.part(net, cut, None)
    once = multiply_adds.forward(suffix)
    an_epoch = part["train"] * multiply_adds.training(suffix) + part["validation"] * once
    return {
        "prefix": images * multiply_adds.forward(freezing.part(net, None, cut)),
        "pooled features": images * multiply_adds.forward(freezing.part(net, cut, builder.POOL)),
        "stage 2": int(job["stage2_epochs"] * an_epoch + images * once),
    }


def compute_body(
    net: keras.Model, job: dict, rows: pd.DataFrame, clock: Clock
) -> dict[int, Activations]:
    """Decode the images and store what the frozen layers say of them, a phase each."""
    cache = Path(job["scratch"]) / "cache"
    storage, unfrozen = Storage(cache, job["batch_size"]), job["unfreeze_layers"]
    with clock.phase("decode"):
        images = catalog.decode_all(job["folder"], rows, job["image_size"], cache)
    with clock.phase("prefix"):  # on its own first, so that `frozen_body` finds it in the store
        recipes.frozen_prefix(net, images, storage, unfreeze_layers=unfrozen)
    with clock.phase("pooled features"):
        return recipes.frozen_body(net, images, storage, unfreeze_layers=unfrozen)


def training(net: keras.Model, job: dict, body: dict[int, Activations]) -> recipes.TwoStageTraining:
    """Both stages of the job."""
    settings = {stage: stage_settings(job, stage) for stage in (1, 2)}
    layers = job["unfreeze_layers"]
    return recipes.TwoStageTraining(net, body, unfreeze_layers=layers, settings=settings)


def columns(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, weights and split of the rows."""
    return rows["target"].to_numpy(), rows["weight"].to_numpy(), rows["split"].to_numpy(str)


def main() -> None:
    """Run the phases one after the other and write what they took and answered."""
    job = read_job()
    rows = pd.read_csv(job["rows"])
    clock = Clock()
    net = build(job)
    clock.seconds["start-up"] = time.time() - job["started"]
    save_initial(net, job["initial"])
    body = compute_body(net, job, rows, clock)
    outcomes = training(net, job, body).train(*columns(rows), Path(job["scratch"], "checkpoint"))
    histories, held_out = {}, rows[rows["split"] != "train"]
    for stage in (1, 2):
        with clock.phase(f"stage {stage}"):
            _, outcome = next(outcomes)
        histories[f"stage {stage}"] = outcome.history.drop(columns="best").to_dict("list")
    stores = (Path(job["scratch"]) / "cache").rglob("rows.bin")
    write_result(
        job,
        seconds=clock.seconds,
        cut=body[2].layer,
        multiply_adds=work(net, job, rows, body[2].layer),
        stored_bytes=sum(path.stat().st_size for path in stores),
        history=histories,
        test_probabilities=outcome.probabilities[held_out["split"] == "test"].tolist(),
    )


if __name__ == "__main__":
    main()
