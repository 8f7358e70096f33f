"""Files of every encoding that is read, and the same with flipped bytes, cut, or a piece twice."""

import io

import numpy as np
from dicom_files import COMPRESSIONS, GRAY, HU, compressed, dicom
from PIL import Image

COUNT = 500


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


def damaged_files():
    """{name: content} of `COUNT` damaged files of all encodings in turn."""
    rng, files = np.random.default_rng(0), whole_files()
    kinds = list(files)
    names = [f"{number} {kinds[number % len(kinds)]}" for number in range(COUNT)]
    return {name: damaged(rng, files[name.split(" ", 1)[1]]) for name in names}
