from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from kidneyct_lib.splitting import single_linkage
from kidneyct_lib.splitting.single_linkage import SingleLinkage


def clusters_of(similarity, limits, parts):
    """Clusters of a full matrix of similarities, whose links arrive in so many parts."""
    n = len(similarity)
    joined = SingleLinkage(n, limits)
    i, j = np.array(list(combinations(range(n), 2)), int).reshape(-1, 2).T
    for part in np.array_split(np.random.default_rng(0).permutation(len(i)), parts):
        level = joined.levels(similarity[i[part], j[part]])
        above = level >= 0
        joined.add(i[part][above], j[part][above], level[above])
    return joined.clusters()


@pytest.mark.parametrize("waiting", [0, 3, 1 << 20])
@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 14), seed=st.integers(0, 999), parts=st.integers(1, 9))
def test_clusters_are_those_of_scipys_dendrogram_cut_at_each_threshold(waiting, n, seed, parts):
    limits = [0.2, 0.5, 0.8, 0.9]
    tops = np.random.default_rng(seed).random((n, n)).astype(np.float32)
    similarity = np.triu(tops, 1) + np.triu(tops, 1).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(single_linkage, "_MOST_WAITING", waiting)
        result = clusters_of(similarity, limits, parts)
    merges = linkage(1 - similarity[np.triu_indices(n, 1)].astype(float), "single")
    for limit, ours in zip(limits, result, strict=True):
        theirs = fcluster(merges, 1 - float(np.float32(limit)), "distance")
        for i, j in combinations(range(n), 2):
            assert (ours[i] == ours[j]) == (theirs[i] == theirs[j])
        firsts = [int(ours.tolist().index(number)) for number in range(ours.max() + 1)]
        assert firsts == sorted(firsts)


def test_without_links_every_item_is_alone():
    assert SingleLinkage(3, [0.5, 0.7]).clusters().tolist() == [[0, 1, 2]] * 2


def test_a_similarity_equal_to_a_threshold_is_not_above_it():
    levels = SingleLinkage(2, [0.86, 0.9]).levels(np.array([0.5, 0.86, 0.88, 0.9, 1], np.float32))
    assert levels.tolist() == [-1, -1, 0, 0, 1]
