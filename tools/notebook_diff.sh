#!/bin/sh
# Show one notebook's change for `git diff`: through the environment's nbdime, as text without it.
# Git calls it at the root with: path old-file old-hash old-mode new-file new-hash new-mode [...]
set -eu

if [ $# -eq 1 ]; then
    echo "* Unmerged path $1"
elif [ -x .venv/bin/git-nbdiffdriver ]; then
    color=--no-color
    if [ -t 1 ] || [ -n "${GIT_PAGER_IN_USE-}" ]; then color=; fi
    exec .venv/bin/git-nbdiffdriver diff $color "$@"
else
    git --no-pager diff --no-index --no-ext-diff -- "$2" "$5" || [ $? -eq 1 ]
fi
