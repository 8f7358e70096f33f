import os

import pytest

from kidneyct_lib.core.files import duplicate, replacement


@pytest.mark.parametrize("links", [True, False])
def test_a_duplicate_holds_the_same_and_outlives_the_source(tmp_path, monkeypatch, links):
    if not links:

        def refused(*_):
            raise PermissionError("no links here")

        monkeypatch.setattr(os, "link", refused)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"content")
    duplicate(source, target)
    assert source.samefile(target) == links
    with replacement(target) as temporary:  # as every file of a run is written
        temporary.write_bytes(b"another")
    assert source.read_bytes() == b"content"
    assert target.read_bytes() == b"another"
