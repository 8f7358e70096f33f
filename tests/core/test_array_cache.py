import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.core.array_cache import RowStore
from kidneyct_lib.core.errors import StudyError


class Computer:
    """Computes rows from keys and remembers what it was asked for."""

    def __init__(self, keys, fail_after=None):
        self.keys, self.fail_after, self.requested = keys, fail_after, []

    def __call__(self, positions):
        if self.fail_after is not None and len(self.requested) >= self.fail_after:
            raise KeyboardInterrupt
        self.requested += [self.keys[i] for i in positions]
        return np.array([row_of(self.keys[i]) for i in positions])


def row_of(key):
    return np.arange(6, dtype=np.float32).reshape(2, 3) + ord(key)


def filled(folder, keys, **kwargs):
    store = RowStore(folder, (2, 3), np.float32)
    computer = Computer(keys, **kwargs)
    store.fill(keys, computer, batch=2, label="rows")
    return store, computer


@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=1),
    st.lists(st.sampled_from("abcdefgh"), min_size=1),
)
@settings(max_examples=25, deadline=None)
def test_rows_come_back_by_key_and_are_computed_once(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("store")
    _, one = filled(folder, first)
    store, two = filled(folder, second)
    assert sorted(one.requested + two.requested) == sorted(set(first + second))
    np.testing.assert_array_equal(store.take(second), [row_of(key) for key in second])
    np.testing.assert_array_equal(store.take(first[::-1]), [row_of(key) for key in first[::-1]])


def test_an_interrupted_fill_keeps_whole_batches_and_goes_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, list("abcdef"), fail_after=4)
    store, computer = filled(tmp_path, list("abcdef"))
    assert computer.requested == ["e", "f"]
    np.testing.assert_array_equal(store.take("abcdef"), [row_of(key) for key in "abcdef"])


@pytest.mark.parametrize("tail", [b"\0" * 7, b"\0" * 24])
def test_values_that_were_never_indexed_are_dropped(tmp_path, tail):
    filled(tmp_path, list("ab"))
    with (tmp_path / "rows.bin").open("ab") as values:
        values.write(tail)
    store, computer = filled(tmp_path, list("abc"))
    assert computer.requested == ["c"]
    np.testing.assert_array_equal(store.take("cba"), [row_of(key) for key in "cba"])


def test_a_torn_index_line_is_dropped(tmp_path):
    filled(tmp_path, list("abc"))
    index = tmp_path / "index.csv"
    index.write_text(index.read_text()[:-4])
    store, computer = filled(tmp_path, list("abc"))
    assert computer.requested == ["c"]
    np.testing.assert_array_equal(store.take("c"), [row_of("c")])


def test_a_truncated_store_computes_what_is_lost(tmp_path):
    filled(tmp_path, list("abcd"))
    with (tmp_path / "rows.bin").open("r+b") as values:
        values.truncate(3 * 24 + 5)
    _, computer = filled(tmp_path, list("abcd"))
    assert computer.requested == ["d"]


def test_a_flipped_byte_is_noticed_and_the_row_computed_anew(tmp_path):
    filled(tmp_path, list("abcd"))
    with (tmp_path / "rows.bin").open("r+b") as values:
        values.seek(24 + 3)
        values.write(b"\xff")
    store, computer = filled(tmp_path, list("abcd"))
    assert computer.requested == ["b"]
    np.testing.assert_array_equal(store.take("abcd"), [row_of(key) for key in "abcd"])


def test_an_unknown_key_names_the_store(tmp_path):
    store, _ = filled(tmp_path, list("ab"))
    with pytest.raises(StudyError, match="'z'"):
        store.take(["z"])


def test_rows_of_another_shape_are_refused(tmp_path):
    filled(tmp_path, list("ab"))
    with pytest.raises(StudyError, match="delete the folder"):
        RowStore(tmp_path, (3, 2), np.float32)


def test_a_disk_too_small_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 40}))
    computer = Computer(list("ab"))
    store = RowStore(tmp_path, (2, 3), np.float32)
    with pytest.raises(StudyError, match="larger disk"):
        store.fill(list("ab"), computer, batch=2, label="rows")
    assert computer.requested == []


@pytest.mark.parametrize(("most_rows", "held"), [(0, ""), (2.9, "ab"), (4, "abcd"), (9, "abcd")])
def test_a_store_grows_no_further_than_it_may(tmp_path, most_rows, held):
    store, computer = RowStore(tmp_path, (2, 3), np.float32), Computer("abcd")
    store.fill("abcd", computer, batch=3, label="rows", most_bytes=most_rows * store.row_bytes)
    assert "".join(computer.requested) == held
    assert store.holds("abcd").tolist() == [key in held for key in "abcd"]
    store.fill("dcba", computer, batch=3, label="rows", most_bytes=4 * store.row_bytes)
    assert store.holds("abcd").all()


def test_a_damaged_row_that_finds_no_room_is_not_held(tmp_path):
    filled(tmp_path, list("abc"))
    with (tmp_path / "rows.bin").open("r+b") as values:
        values.seek(24 + 3)
        values.write(b"\xff")
    store = RowStore(tmp_path, (2, 3), np.float32)
    store.fill("abc", Computer("abc"), batch=1, label="rows", most_bytes=3 * store.row_bytes)
    assert store.holds("abc").tolist() == [True, False, True]
