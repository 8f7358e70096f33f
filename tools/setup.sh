#!/bin/sh
# Build .venv from the lock: with uv where it is named, with venv and pip where it is not.
# Usage: tools/setup.sh PYTHON [UV] [EXTRA]
# EXTRA is one of pyproject.toml's optional dependencies; .venv/.extra-NAME marks each that .venv has,
# and they stay through a later set-up.
# .venv/.ready is written last: an environment without it is unfinished and is built anew.
# Packages are compiled here, not at their first import: where Python is told to write no bytecode,
# as in many containers, each notebook would else compile TensorFlow again for some six seconds.
set -eu

python=$1
uv=${2-}
extra=${3-}

stop() {
    echo "kidneyct: $1" >&2
    exit 1
}

check_python() {
    command -v "$python" >/dev/null ||
        stop "there is no '$python'; install Python 3.11, 3.12 or 3.13."
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' ||
        stop "'$python' is $("$python" -V 2>&1); install Python 3.11, 3.12 or 3.13 and name it, as in: make setup PYTHON=python3.12"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        stop "'$python' has no venv module; install it, on Debian and Ubuntu with: sudo apt install python3-venv"
}

list_extras() {
    sed -n '/^\[project.optional-dependencies\]/,/^$/s/ = \[.*//p' pyproject.toml | tr '\n' ' '
}

install_with_uv() {
    set -- "$extra"
    for marker in .venv/.extra-*; do
        [ ! -e "$marker" ] || set -- "$@" "${marker#.venv/.extra-}"
    done
    options=
    for name in "$@"; do
        [ -z "$name" ] || options="$options --extra $name"
    done
    # shellcheck disable=SC2086  # one word per option
    UV_PROJECT_ENVIRONMENT=.venv "$uv" sync --frozen --compile-bytecode $options
}

install_with_pip() {
    # Settings that send packages elsewhere or clash with hashed pins.
    unset PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_BINARY
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    quiet=-qq
    [ ! -t 1 ] || quiet=
    # The lock is complete, so nothing is left to resolve: --no-deps.
    .venv/bin/python -m pip install $quiet --no-deps --require-hashes -r requirements.lock
    .venv/bin/python -m pip install -qq --no-deps --no-build-isolation --editable .
}

if [ -n "$extra" ]; then
    grep -q "^$extra = \[" pyproject.toml ||
        stop "there is no extra '$extra'; those of pyproject.toml are: $(list_extras)"
    [ -n "$uv" ] ||
        stop "extras are installed by uv; install it first: pip install uv"
fi
[ -n "$uv" ] || check_python
if [ -d .venv ] && [ ! -e .venv/.ready ]; then
    echo "Removing .venv, whose set-up was never finished."
    rm -rf .venv
fi
rm -f .venv/.ready
echo "Setting up .venv: about 3 GB and a few minutes, once."
if [ -n "$uv" ]; then
    install_with_uv
else
    install_with_pip
fi
[ ! -e .git ] || git config diff.jupyternotebook.command tools/notebook_diff.sh
touch .venv/.ready
# Newer than .ready, so that make finds them in place.
for marker in .venv/.extra-* ${extra:+".venv/.extra-$extra"}; do
    [ "$marker" = ".venv/.extra-*" ] || touch "$marker"
done
echo "Ready."
