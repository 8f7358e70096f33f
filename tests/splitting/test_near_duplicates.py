import tracemalloc
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.data import catalog, phantom
from kidneyct_lib.splitting import near_duplicates, single_linkage
from kidneyct_lib.splitting.near_duplicates import (
    Grouping,
    catalog_thumbnails,
    find_groups,
    joined,
    pairwise_scores,
    series_correlations,
    threshold_curve,
    thumbnails,
)


def series(n_series, length, size, seed):
    """Draw smooth random pictures that drift slowly: uint8 (n_series * length, size, size)."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n_series):
        first, second = (cv2.GaussianBlur(rng.normal(size=(size, size)), (0, 0), 3) for _ in "ab")
        for t in np.linspace(0, 0.5, length):
            picture = first * np.cos(t) + second * np.sin(t)
            images.append(np.clip(128 + 60 * picture / picture.std(), 0, 255))
    return np.array(images).astype(np.uint8)


def slow_pairs(images, threshold):
    return {
        (i, j)
        for i, j in combinations(range(len(images)), 2)
        if np.corrcoef(images[i].ravel(), images[j].ravel())[0, 1] > threshold
    }


def slow_groups(n, pairs):
    """Flood groups from each slice in turn, literally."""
    group = [-1] * n
    for start in range(n):
        if group[start] >= 0:
            continue
        fresh, waiting = max(group) + 1, [start]
        while waiting:
            at = waiting.pop()
            group[at] = fresh
            waiting += [
                k for k in range(n) if group[k] < 0 and ((at, k) in pairs or (k, at) in pairs)
            ]
    return group


# --- thumbnails ------------------------------------------------------------------------------


def test_thumbnails_are_standardised_and_multiply_to_correlations():
    images = series(3, 4, 64, seed=0)
    thumbs = thumbnails(images, 32)
    assert thumbs.shape == (12, 32 * 32)
    assert thumbs.dtype == np.float32
    np.testing.assert_allclose(thumbs.mean(axis=1), 0, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(thumbs, axis=1), 1, atol=1e-6)
    small = [cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).ravel() for image in images]
    np.testing.assert_allclose(thumbs @ thumbs.T, np.corrcoef(small), atol=1e-5)


def test_constant_images_give_zeros():
    images = np.stack([np.full((16, 16), v, np.uint8) for v in (0, 77, 255)])
    thumbs = thumbnails(images, 8)
    assert not thumbs.any()
    assert find_groups(thumbs, [0.5], list("ABC"), block=2).links.tolist() == [0]


def test_thumbnails_forget_brightness_and_contrast():
    image = series(1, 1, 64, seed=1)[0] // 2
    thumbs = thumbnails(np.stack([image, image + 40, image * 2]), 16)
    assert (thumbs @ thumbs.T).min() > 0.999


def test_thumbnails_of_a_catalog_are_those_of_its_slices_however_many_are_read_at_a_time(
    tmp_path, monkeypatch
):
    spec = dict(classes=["Cyst", "Stone"], patients_per_class=2, slices_per_patient=(2, 2))
    phantom.write_cohort(
        tmp_path / "slices", phantom.CohortSpec(**spec, size=64, seed=1, plane="axial")
    )
    table = catalog.index_folder(tmp_path / "slices", spec["classes"]).table[::-1]
    place = (tmp_path / "slices", table)
    decoded = catalog.decode_all(*place, near_duplicates.SOURCE_SIZE, tmp_path / "cache")
    for block in (3, 100):
        monkeypatch.setattr(near_duplicates, "_SLICES_READ", block)
        result = catalog_thumbnails(*place, 16, tmp_path / "cache")
        np.testing.assert_array_equal(result, thumbnails(decoded, 16))


# --- near duplicates and groups --------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 5, 7, 64])
def test_groups_and_links_are_those_of_the_literal_search_whatever_the_block(block):
    images = series(5, 6, 32, seed=2)
    labels = np.array(list("AB"))[np.arange(30) // 11 % 2]  # parts two of the series
    found = find_groups(thumbnails(images, 32), [0.98, 0.95, 0.7, 0.95], labels, block=block)
    assert found.thresholds == (0.7, 0.95, 0.98)
    for threshold in found.thresholds:
        expected, place = slow_pairs(images, threshold), found.place(threshold)
        assert 0 < len(expected) < 5 * 6 * 29
        assert found.links[place] == len(expected)
        assert found.cross_class_links[place] == sum(labels[i] != labels[j] for i, j in expected)
        assert found.at(threshold).tolist() == slow_groups(30, expected)
    assert found.cross_class_links[1] > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-4, 4)] * 3), max_size=14),
    st.lists(st.integers(-20, 40), min_size=1, max_size=5),
    st.integers(1, 15),
    st.randoms(use_true_random=False),
)
def test_links_lie_strictly_above_every_threshold(vectors, thresholds, block, random):
    """Sixteenths, whose products float32 holds exactly: many are equal to a threshold."""
    n = len(vectors)
    labels = [random.choice("AB") for _ in range(n)]
    thumbs = np.array(vectors, np.float32).reshape(n, 3) / 4
    found = find_groups(thumbs, [t / 16 for t in thresholds], labels, block=block)
    assert found.thresholds == tuple(t / 16 for t in sorted(set(thresholds)))
    for t in thresholds:
        pairs = {
            (i, j)
            for i, j in combinations(range(n), 2)
            if sum(a * b for a, b in zip(vectors[i], vectors[j], strict=True)) > t
        }
        place = found.place(t / 16)
        assert found.links[place] == len(pairs)
        assert found.cross_class_links[place] == sum(labels[i] != labels[j] for i, j in pairs)
        assert found.at(t / 16).tolist() == slow_groups(n, pairs)


def test_slices_that_are_all_alike_take_no_more_memory_than_others(monkeypatch):
    """Their links, of 12 bytes each, would take 54 MB."""
    n = 3000
    monkeypatch.setattr(single_linkage, "_MOST_WAITING", 1 << 16)
    thumbs = np.full((n, 16), 0.25, np.float32)
    tracemalloc.start()
    found = find_groups(thumbs, [0.9, 0.95, 0.99], ["A"] + ["B"] * (n - 1), block=200)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not found.groups.any()
    assert found.links.tolist() == [n * (n - 1) // 2] * 3
    assert found.cross_class_links.tolist() == [n - 1] * 3
    assert peak < 10e6


def test_no_images_have_no_links_and_no_groups():
    found = find_groups(np.empty((0, 4), np.float32), [0.9], [], block=8)
    assert found.links.tolist() == found.cross_class_links.tolist() == [0]
    assert found.at(0.9).shape == (0,)


def test_a_chain_is_one_group_though_its_ends_differ():
    images = series(1, 8, 32, seed=3)
    thumbs = thumbnails(images, 32)
    assert thumbs[0] @ thumbs[-1] < 0.95
    assert set(find_groups(thumbs, [0.95], ["A"] * 8, block=8).at(0.95)) == {0}


def test_series_are_recovered_also_where_their_slices_lie_apart():
    images = series(6, 10, 32, seed=4)
    truth = np.repeat(np.arange(6), 10)
    order = np.random.default_rng(0).permutation(60)
    found = find_groups(thumbnails(images[order], 32), [0.94], ["A"] * 60, block=16).at(0.94)
    assert pairwise_scores(found, truth[order])["precision"] == 1
    assert pairwise_scores(found, truth[order])["recall"] == 1


def test_groups_at_another_threshold_than_those_searched_are_refused():
    found = find_groups(thumbnails(series(2, 3, 32, seed=5), 16), [0.9, 0.95], ["A"] * 6, block=8)
    with pytest.raises(ValueError, match=r"above \(0\.9, 0\.95\), not above 0\.8"):
        found.at(0.8)


def test_threshold_curve_tells_what_each_threshold_gives():
    groups = np.array([[0, 0, 0, 0, 1], [0, 1, 2, 2, 3]], np.int32)
    grouping = Grouping((0.8, 0.9), groups, np.array([6, 1]), np.array([2, 0]))
    curve = threshold_curve(grouping, [0.9, 0.8])
    assert curve["threshold"].tolist() == [0.9, 0.8]
    assert curve["groups"].tolist() == [4, 2]
    assert curve["largest"].tolist() == [2, 4]
    assert curve["cross_class_links"].tolist() == [0, 2]


# --- scores ----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), min_size=1, max_size=25))
def test_pairwise_scores_are_those_of_counting_pairs(slices):
    result, truth = zip(*slices, strict=True)
    together = [f == g for f, g in combinations(result, 2)]
    same = [s == t for s, t in combinations(truth, 2)]
    both = sum(a and b for a, b in zip(together, same, strict=True))
    assert pairwise_scores(result, truth) == {
        "precision": both / sum(together) if any(together) else 1.0,
        "recall": both / sum(same) if any(same) else 1.0,
        "pairs_found": sum(together),
        "pairs_true": sum(same),
    }


def test_precision_falls_when_patients_are_merged_and_recall_when_they_are_split():
    truth = [0, 0, 0, 1, 1, 1]
    merged, split = pairwise_scores([0] * 6, truth), pairwise_scores([0, 0, 1, 2, 2, 3], truth)
    assert (merged["precision"], merged["recall"]) == (6 / 15, 1)
    assert (split["precision"], split["recall"]) == (1, 2 / 6)


# --- series structure ------------------------------------------------------------------------


def test_consecutive_pairs_are_neighbours_by_number_within_a_class():
    images = series(2, 4, 32, seed=6)
    thumbs = thumbnails(images, 16)
    numbers = [1, 2, 5, 6, 7, 8, 9, 11]  # gaps after 2 and 9; the classes meet at 6 and 7
    frame = series_correlations(thumbs, list("AAAABBBB"), numbers, random_pairs=50, seed=0)
    consecutive = frame[frame["pair"] == "consecutive"]
    expected = [thumbs[i] @ thumbs[i + 1] for i in (0, 2, 4, 5)]
    assert consecutive["label"].tolist() == list("AABB")
    np.testing.assert_allclose(consecutive["correlation"], expected, atol=1e-6)


def test_random_pairs_are_distinct_slices_of_one_class_and_seeded():
    thumbs = np.eye(6, dtype=np.float32)
    thumbs[3:] = [[-1, 0, 0, 0, 0, 0]] * 3  # only pairs within B correlate, at exactly 1
    draw = [
        series_correlations(thumbs, list("AAABBB"), range(6), random_pairs=40, seed=s)
        for s in (1, 1)
    ]
    random = draw[0][draw[0]["pair"] == "random"]
    assert random.groupby("label").size().tolist() == [40, 40]
    assert set(random.loc[random["label"] == "A", "correlation"]) == {0}
    assert set(random.loc[random["label"] == "B", "correlation"]) == {1}
    assert draw[0].equals(draw[1])


def test_a_class_of_one_slice_has_no_pairs():
    frame = series_correlations(
        np.eye(3, dtype=np.float32), list("AAB"), [1, 2, 1], random_pairs=5, seed=0
    )
    assert set(frame["label"]) == {"A"}


# --- known patients ---


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["", "p", "q", "r"])), min_size=1))
def test_neither_a_group_nor_a_known_patient_is_divided_and_no_more_is_joined(slices):
    group, patients = np.array([one[0] for one in slices]), [one[1] for one in slices]
    result = joined(group, patients)
    # By hand: numbers of slices are merged until nothing changes.
    expected = list(range(len(slices)))
    for _ in slices:
        for i, (a, p) in enumerate(slices):
            for j, (b, q) in enumerate(slices):
                if a == b or (p == q and p):
                    expected[i] = expected[j] = min(expected[i], expected[j])
    for i in range(len(slices)):
        for j in range(len(slices)):
            assert (result[i] == result[j]) == (expected[i] == expected[j])
    assert result[0] == 0
    assert set(result) == set(range(result.max() + 1))


def test_where_no_patient_is_known_groups_stay():
    assert joined(np.array([0, 1, 0, 2]), [""] * 4).tolist() == [0, 1, 0, 2]
