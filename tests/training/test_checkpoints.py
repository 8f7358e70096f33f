"""Arrays on disk: given back whole for the same identity, or not at all."""

import numpy as np
import pytest

from kidneyct_lib.core.errors import StudyError
from kidneyct_lib.training import checkpoints

PARTS = {"best": [np.full((2, k), k) for k in range(1, 13)], "last_one": [np.zeros(3)]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "new folder/state.npz"
    checkpoints.save(path, "one", {"history": [{"loss": 0.5}]}, PARTS)
    return path


def test_arrays_come_back_in_their_order_with_the_facts(file):
    about, parts = checkpoints.load(file, "one")
    assert about["history"] == [{"loss": 0.5}]
    assert parts.keys() == PARTS.keys()
    for name, arrays in PARTS.items():
        for one, other in zip(parts[name], arrays, strict=True):
            np.testing.assert_array_equal(one, other)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("content", [None, b"", b"half"])
def test_another_identity_and_a_damaged_file_give_nothing(file, content):
    assert checkpoints.load(file, "other") == ({}, {})
    file.write_bytes(file.read_bytes()[:-100] if content is None else content)
    assert checkpoints.load(file, "one") == ({}, {})
    assert checkpoints.load(file.with_name("none.npz"), "one") == ({}, {})


def test_what_cannot_be_written_is_told(file):
    with pytest.raises(StudyError, match=r"state\.npz.* could not be written"):
        checkpoints.save(file / "state.npz", "one", {}, PARTS)


def test_shapes_fit_one_for_one():
    arrays = PARTS["best"]
    assert checkpoints.fit(arrays, [np.ones_like(one) for one in arrays])
    assert not checkpoints.fit(arrays[:-1], arrays)
    assert not checkpoints.fit(arrays, [*arrays[1:], arrays[0]])
