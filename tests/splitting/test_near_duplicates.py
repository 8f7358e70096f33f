from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kidneyct_lib.splitting.near_duplicates import (
    Edges,
    find_groups,
    joined,
    near_duplicates,
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
    assert len(near_duplicates(thumbs, 0.5, block=2).i) == 0


def test_thumbnails_forget_brightness_and_contrast():
    image = series(1, 1, 64, seed=1)[0] // 2
    thumbs = thumbnails(np.stack([image, image + 40, image * 2]), 16)
    assert (thumbs @ thumbs.T).min() > 0.999


# --- near duplicates and groups --------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 5, 7, 64])
def test_edges_are_those_of_the_literal_search_whatever_the_block(block):
    images = series(5, 6, 32, seed=2)
    edges = near_duplicates(thumbnails(images, 32), 0.95, block=block)
    expected = slow_pairs(images, 0.95)
    assert 0 < len(expected) < 5 * 6 * 29
    assert set(zip(edges.i.tolist(), edges.j.tolist(), strict=True)) == expected
    assert len(edges.i) == len(expected)
    for i, j, correlation in zip(edges.i, edges.j, edges.correlation, strict=True):
        truth = np.corrcoef(images[i].ravel(), images[j].ravel())[0, 1]
        assert correlation == pytest.approx(truth, abs=1e-5)


def test_no_images_have_no_edges_and_no_groups():
    edges = near_duplicates(np.empty((0, 4), np.float32), 0.9, block=8)
    assert len(edges.i) == len(edges.correlation) == 0
    assert len(find_groups(edges, 0.9)) == 0


def test_a_chain_is_one_group_though_its_ends_differ():
    images = series(1, 8, 32, seed=3)
    thumbs = thumbnails(images, 32)
    assert thumbs[0] @ thumbs[-1] < 0.95
    assert set(find_groups(near_duplicates(thumbs, 0.95, block=8), 0.95)) == {0}


def test_series_are_recovered_also_where_their_slices_lie_apart():
    images = series(6, 10, 32, seed=4)
    truth = np.repeat(np.arange(6), 10)
    order = np.random.default_rng(0).permutation(60)
    edges = near_duplicates(thumbnails(images[order], 32), 0.94, block=16)
    result = find_groups(edges, 0.94)
    assert pairwise_scores(result, truth[order])["precision"] == 1
    assert pairwise_scores(result, truth[order])["recall"] == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.data())
def test_groups_are_those_of_the_literal_flood_numbered_by_first_appearance(n, data):
    possible = list(combinations(range(n), 2))
    pairs = data.draw(st.lists(st.sampled_from(possible), unique=True) if possible else st.just([]))
    strength = data.draw(st.lists(st.floats(0.5, 1), min_size=len(pairs), max_size=len(pairs)))
    i, j = np.array(pairs, np.int32).reshape(-1, 2).T
    edges = Edges(i, j, np.array(strength, np.float32), n, 0.4)
    used = {pair for pair, r in zip(pairs, strength, strict=True) if np.float32(r) > 0.75}
    result = find_groups(edges, 0.75).tolist()
    assert result == slow_groups(n, used)


def test_groups_below_the_searched_threshold_are_refused():
    edges = near_duplicates(thumbnails(series(2, 3, 32, seed=5), 16), 0.9, block=8)
    with pytest.raises(ValueError, match=r"above 0\.9 only"):
        find_groups(edges, 0.8)


def test_threshold_curve_counts_what_each_threshold_gives():
    edges = Edges(
        np.array([0, 1, 2, 0], np.int32),
        np.array([1, 2, 3, 4], np.int32),
        np.array([0.99, 0.95, 0.85, 0.81], np.float32),
        5,
        0.8,
    )
    curve = threshold_curve(edges, list("AAABB"), [0.8, 0.83, 0.9, 0.97, 0.995])
    assert curve["threshold"].tolist() == [0.8, 0.83, 0.9, 0.97, 0.995]
    assert curve["groups"].tolist() == [1, 2, 3, 4, 5]
    assert curve["largest"].tolist() == [5, 4, 3, 2, 1]
    assert curve["cross_class_links"].tolist() == [2, 1, 0, 0, 0]


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
