"""`make review` finds where a branch left its base in whatever kind of clone it is run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REVIEW = ("make", "--no-print-directory", "-o", ".venv/.ready")


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder, **notebooks):
    for name, content in notebooks.items():
        (folder / f"{name}.ipynb").write_text(content)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", " ".join(notebooks))


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """Two branches: `main`, which went on after `branch` left it."""
    folder = tmp_path_factory.mktemp("origin")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "tools", folder / "tools")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, explore="as it was")
    git(folder, "switch", "-q", "-c", "branch")
    commit(folder, explore="looks closely")
    commit(folder, split="is new")
    git(folder, "switch", "-q", "main")
    commit(folder, later="came after the branch")
    return folder


@pytest.fixture
def clone(origin, tmp_path):
    def build(*options):
        git(tmp_path, "clone", "-q", *options, f"file://{origin}", "clone")
        return tmp_path / "clone"

    return build


def review(folder, *arguments, target="review"):
    """Run a target; for review-web, a script that prints its arguments stands in for nbdime."""
    viewer = folder.parent / "bin/nbdiff-web"
    viewer.parent.mkdir(exist_ok=True)
    viewer.write_text('#!/bin/sh\necho "nbdiff-web $*"\n')
    viewer.chmod(0o755)
    command = [*REVIEW, f"BIN={viewer.parent}", target, *arguments]
    own = ("BASE", "MAKEFLAGS", "MAKELEVEL")  # of a make that runs these tests
    environment = {name: value for name, value in os.environ.items() if name not in own}
    environment |= {"LC_ALL": "C", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def assert_shows_the_branch(folder, *arguments):
    done = review(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "looks closely" in done.stdout and "is new" in done.stdout
    assert "came after" not in done.stdout, "compared with the end of main, not where it was left"
    done = review(folder, *arguments, target="review-web")
    left = git(folder, "rev-parse", "HEAD~2").strip()
    assert (done.returncode, done.stdout) == (0, f"nbdiff-web {left} notebooks\n")


def told(folder, *arguments):
    """What both targets say, in one line, where they can't find the base."""
    messages = set()
    for target in ("review", "review-web"):
        done = review(folder, *arguments, target=target)
        assert done.returncode != 0
        assert done.stdout == ""
        message, from_make = done.stderr.splitlines()
        assert re.fullmatch(r"make: \*\*\* \[.*review(-web)?\] Error 1", from_make)
        messages.add(message)
    (message,) = messages
    assert message.startswith("make review: ") and "usage:" not in message
    return message


def follow(folder, message):
    """Run the command that a message ends with."""
    git(folder, *re.search(r": git (fetch .*)$", message)[1].split())


def test_a_local_base_is_compared_with(clone):
    folder = clone()
    git(folder, "switch", "-q", "branch")
    assert_shows_the_branch(folder)


def test_without_a_local_base_that_of_origin_is(clone):
    assert_shows_the_branch(clone("--branch", "branch"))


def test_a_detached_head_is_compared_as_a_branch_is(clone):
    folder = clone("--branch", "branch")
    git(folder, "switch", "-q", "--detach")
    git(folder, "branch", "-q", "-D", "branch")
    assert_shows_the_branch(folder)


def test_the_base_may_be_any_commit(clone):
    folder = clone("--branch", "branch")
    assert_shows_the_branch(folder, "BASE=HEAD~2")
    done = review(folder, "BASE=branch")
    assert done.stdout == "No notebook differs from branch.\n"


def test_a_shallow_clone_of_the_base_itself_needs_no_history(clone):
    folder = clone("--depth", "1")
    assert review(folder).stdout == "No notebook differs from main.\n"
    git(folder, "switch", "-q", "-c", "mine")
    commit(folder, later="changed here")
    assert "changed here" in review(folder).stdout


def test_a_shallow_clone_without_the_base_says_how_to_fetch_it(clone):
    folder = clone("--depth", "1", "--branch", "branch")
    message = told(folder)
    assert message == (
        "make review: neither main nor origin/main is here; fetch it or name another as "
        "BASE=branch: git fetch --unshallow origin main:refs/remotes/origin/main"
    )
    follow(folder, message)
    assert_shows_the_branch(folder)


def test_a_shallow_detached_head_of_a_pull_request_says_the_same(origin, tmp_path):
    folder = tmp_path / "checkout"
    git(tmp_path, "init", "-q", str(folder))
    git(folder, "remote", "add", "origin", f"file://{origin}")
    git(folder, "fetch", "-q", "--depth", "1", "origin", "+branch:refs/remotes/pull/1/head")
    git(folder, "checkout", "-q", "--detach", "refs/remotes/pull/1/head")
    message = told(folder)
    assert "git fetch --unshallow origin main:" in message
    follow(folder, message)
    assert_shows_the_branch(folder)


def test_a_clone_too_shallow_for_a_merge_base_says_how_to_deepen_it(clone):
    folder = clone("--depth", "1", "--no-single-branch", "--branch", "branch")
    message = told(folder)
    assert message == (
        "make review: this shallow clone lacks the commit at which HEAD left origin/main: "
        "git fetch --unshallow"
    )
    follow(folder, message)
    assert_shows_the_branch(folder)


def test_a_whole_clone_of_one_branch_says_how_to_fetch_the_base(clone):
    folder = clone("--single-branch", "--branch", "branch")
    message = told(folder)
    assert message.endswith(": git fetch origin main:refs/remotes/origin/main")
    follow(folder, message)
    assert_shows_the_branch(folder)


def test_a_base_of_another_history_is_refused(clone):
    folder = clone()
    git(folder, "switch", "-q", "--orphan", "other")
    git(folder, "checkout", "-q", "main", "--", "Makefile", "tools")
    commit(folder, explore="another beginning")
    assert told(folder) == (
        "make review: HEAD and main have no commit in common; name another: make review BASE=branch"
    )


def test_a_folder_without_git_is_refused(origin, tmp_path):
    folder = tmp_path / "unpacked"
    shutil.copytree(origin, folder, ignore=shutil.ignore_patterns(".git"))
    assert "git can't read this checkout's history (fatal: not a git repository" in told(folder)
