"""Files damaged and tags gone odd: read rightly, refused, or warned of; never a traceback."""

import numpy as np
from damaged_files import COUNT, damaged_files, whole_files
from dicom_files import GRAY, HU, dicom
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.data import image_io
from kidneyct_lib.data.catalog import index_folder
from kidneyct_lib.deployment.predictor import predict

NOT_THERE = (None, "", [1, 2])
OFFSETS = {"uint16": (0, 1024, 32768), "int16": (0, 1024)}


class Shares:
    """A model whose answer depends on the pixels."""

    classes = ("Normal", "Stone")
    name = "made up"

    def say(self, rgb):
        share = float(rgb.mean()) / 255
        return np.array([1 - share, share]), {}


def test_no_damage_ends_in_a_traceback_and_the_others_are_answered(tmp_path, capfd):
    files = whole_files()
    folder = tmp_path / "set" / "Normal"
    folder.mkdir(parents=True)
    for name, data in damaged_files().items():
        (folder / f"{name}.img").write_bytes(data)
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
