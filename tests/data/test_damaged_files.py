"""Files damaged and tags gone odd: read rightly, refused, or warned of; never a traceback."""

import io

import numpy as np
from dicom_files import COMPRESSIONS, GRAY, HU, compressed, dicom
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kidneyct_lib.data import image_io
from kidneyct_lib.data.catalog import index_folder
from kidneyct_lib.deployment.predictor import predict

COUNT = 500
NOT_THERE = (None, "", [1, 2])
OFFSETS = {"uint16": (0, 1024, 32768), "int16": (0, 1024)}


def whole_files():
    """One slice in every encoding that is read."""
    stored = dicom((HU.astype(np.int32) + 1024).astype(np.uint16), RescaleIntercept=-1024)
    files = {"DICOM": stored, "old DICOM": stored[132:], "8-bit DICOM": dicom(GRAY)}
    files |= {name: compressed(stored, name) for name in COMPRESSIONS}
    for kind in ("PNG", "TIFF", "JPEG"):
        file = io.BytesIO()
        Image.fromarray(GRAY).save(file, kind)
        files[kind] = file.getvalue()
    return files


def damaged(rng, data):
    """Some bytes flipped, most of them in the head; sometimes cut, or a piece twice."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        end = len(content) if rng.random() < 0.3 else min(900, len(content))
        content[rng.integers(end)] ^= 1 << rng.integers(8)
    way = rng.random()
    if way < 0.2:
        del content[rng.integers(len(content)) :]
    elif way < 0.3:
        at = rng.integers(len(content))
        content[at:at] = content[at : at + 64]
    return bytes(content)


class Shares:
    """A model whose answer depends on the pixels."""

    classes = ("Normal", "Stone")
    name = "made up"

    def say(self, rgb):
        share = float(rgb.mean()) / 255
        return np.array([1 - share, share]), {}


def test_no_damage_ends_in_a_traceback_and_the_others_are_answered(tmp_path, capfd):
    rng, files = np.random.default_rng(0), whole_files()
    folder = tmp_path / "set" / "Normal"
    folder.mkdir(parents=True)
    for number in range(COUNT):
        kind = list(files)[number % len(files)]
        (folder / f"{number}.img").write_bytes(damaged(rng, files[kind]))
    for name, data in files.items():
        (folder / f"whole {name}.img").write_bytes(data)

    found = index_folder(tmp_path / "set", ["Normal"])
    read = {row.path.removeprefix("Normal/"): row for row in found.table.itertuples()}
    rejected = found.rejected.set_index(found.rejected["path"].str.removeprefix("Normal/"))
    assert len(read) + len(rejected) + found.ignored == COUNT + len(files)
    assert {f"whole {name}.img" for name in files} <= read.keys()
    assert len(rejected) > COUNT / 10
    assert len(read) > COUNT / 10
    assert rejected["reason"].str.len().min() > 20
    for path in sorted(folder.iterdir()):
        answer = predict(Shares(), path)
        assert ("error" in answer) == (path.name not in read)
        assert answer.get("label") in (None, *Shares.classes)


@settings(max_examples=COUNT)
@given(
    kind=st.sampled_from(list(OFFSETS)),
    offset=st.data(),
    intercept=st.sampled_from(["right", "right", 0, -1024, -2048, 1e6, *NOT_THERE]),
    slope=st.sampled_from([1, 1, 2, 0, 1e-9, float("nan"), *NOT_THERE]),
    modality=st.sampled_from(["CT", "CT", "MR", "OT", None]),
    rescale_type=st.sampled_from([None, "HU", "US", "OD"]),
    photometric=st.sampled_from(["MONOCHROME2", "MONOCHROME2", "MONOCHROME1", "RGB"]),
    bits=st.sampled_from([16, 16, 12, 8, 17]),
    padding=st.sampled_from([None, None, 0, 63536, -2000]),
)
def test_odd_tags_never_give_a_wrong_picture_without_a_word(
    kind, offset, intercept, slope, modality, rescale_type, photometric, bits, padding
):
    moved = offset.draw(st.sampled_from(OFFSETS[kind]))
    stored = (HU.astype(np.int64) + moved).astype(kind)
    tags = {"RescaleIntercept": -moved if intercept == "right" else intercept}
    tags |= {"RescaleSlope": slope, "Modality": modality, "RescaleType": rescale_type}
    if kind == "int16" and bits == 12:  # too few for a stone: what is cut off leaves no trace
        bits = 16
    tags |= {"PhotometricInterpretation": photometric, "BitsStored": bits}
    if padding is not None:
        tags["PixelPaddingValue"] = padding % 2**16 if kind == "uint16" else padding % 2**15
    try:
        picture = image_io.read(dicom(stored, **tags))
    except image_io.ImageError as error:
        assert len(str(error)) > 20
        return
    assert picture.warning or np.array_equal(picture.pixels, GRAY)
