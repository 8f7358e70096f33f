#!/bin/sh
# Print the commit at which HEAD left BASE, a branch here or of origin; say how to get it if missing.
set -eu

fail() {
    echo "make review: $*" >&2
    exit 1
}

why=$(git rev-parse --git-dir 2>&1) || fail "git can't read this checkout's history ($why)"

shallow=$(git rev-parse --is-shallow-repository)
for name in "$BASE" "origin/$BASE"; do
    git rev-parse --quiet --verify "$name^{commit}" > /dev/null || continue
    git merge-base "$name" HEAD 2> /dev/null && exit
    [ "$shallow" = false ] ||
        fail "this shallow clone lacks the commit at which HEAD left $name: git fetch --unshallow"
    fail "HEAD and $name have no commit in common; name another: make review BASE=branch"
done

deepen=
[ "$shallow" = false ] || deepen="--unshallow "
fail "neither $BASE nor origin/$BASE is here; fetch it or name another as BASE=branch:" \
    "git fetch ${deepen}origin $BASE:refs/remotes/origin/$BASE"
