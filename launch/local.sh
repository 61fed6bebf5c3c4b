#!/usr/bin/env bash
# Runs Python on this machine with everything the project needs:
#
#   bash launch/local.sh -m experiments.diffnet_yelp [--workdir DIR ...]
#   bash launch/local.sh -m pytest [tests/ops ...]
#
# The first start makes .venv beside this folder from constraints.txt and needs the package index; later starts need
# no network. It is made anew when constraints.txt or pyproject.toml changed, and when an install was interrupted.
# Everything runs in the project's root: relative paths among the arguments are taken from there. Paths in the
# variables below are taken from the current folder.
#
#   SOCIALJAX_PYTHON=python3   use this interpreter and the packages it has; make nothing
#   SOCIALJAX_DATA, SOCIALJAX_CACHE   folders of data sets and of prepared data
#   DRY_RUN=1                  print what would run
set -euo pipefail

caller=$PWD
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

if (($# == 0)); then
    echo "usage: bash launch/local.sh -m MODULE [ARGUMENT ...]   (python -m experiments lists the experiments)" >&2
    exit 2
fi

say() { printf 'local.sh: %s\n' "$*" >&2; }
show() {
    printf '%q ' "$@"
    echo
}
absolute() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$caller" "$1" ;; esac }

# A shim may stand in PATH for a Python that is not installed, and some distributions leave venv out: ask each to run.
find_python() {
    local candidate
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    say "needs Python 3.11 or newer with its venv module, found none among python3.13, python3.12, python3.11, python3."
    say "Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv), or name one: SOCIALJAX_PYTHON=/path/to/python"
    return 1
}

wanted() { cat constraints.txt pyproject.toml; }
is_ready() { [[ -x $venv/bin/python && -f $venv/.complete ]] && wanted | cmp -s - "$venv/.complete"; }

make_environment() {
    local python
    is_ready && return # another start made it while this one waited
    python=$(find_python)
    say "making .venv with $("$python" --version 2>&1); this happens once and takes a minute or two"
    find "$venv" -mindepth 1 -maxdepth 1 ! -name '.lock*' -exec rm -rf {} +
    "$python" -m venv "$venv"
    # -I: packages of the caller's PYTHONPATH must not count as installed.
    if ! "$venv/bin/python" -I -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[test]'; then
        say "installing failed (the reason stands above); the first start needs the package index. Start again to retry."
        return 1
    fi
    # Written last, whole: its presence means that the install finished.
    wanted >"$venv/.complete.new"
    mv "$venv/.complete.new" "$venv/.complete"
}

# One start at a time. A lock whose owner was killed is let go: by the kernel with flock, by its process id without.
# Errors are passed on by hand: bash ignores `set -e` inside a condition.
with_lock() {
    if command -v flock >/dev/null; then
        (
            flock 9
            set -e
            "$@"
        ) 9>"$venv/.lock"
        return
    fi
    : >"$venv/.lock"
    until mkdir "$venv/.lock.d" 2>/dev/null; do
        local owner
        owner=$(cat "$venv/.lock.d/pid" 2>/dev/null || true)
        if [[ -n $owner ]] && ! kill -0 "$owner" 2>/dev/null; then rm -rf "$venv/.lock.d"; fi
        sleep 0.2
    done
    echo $$ >"$venv/.lock.d/pid"
    trap 'rm -rf "$venv/.lock.d"' EXIT
    "$@"
    rm -rf "$venv/.lock.d"
    trap - EXIT
}

for name in SOCIALJAX_DATA SOCIALJAX_CACHE; do
    if [[ -n ${!name:-} ]]; then export "$name=$(absolute "${!name}")"; fi
done

if [[ -n ${SOCIALJAX_PYTHON:-} ]]; then
    python=$SOCIALJAX_PYTHON
    if [[ $python == */* ]]; then python=$(absolute "$python"); fi
    if ! command -v "$python" >/dev/null; then
        say "SOCIALJAX_PYTHON=$SOCIALJAX_PYTHON is no command; name an interpreter, or unset it to have .venv made"
        exit 1
    fi
    cd -- "$root"
else
    cd -- "$root"
    python=$venv/bin/python
    if [[ -e $venv/pyvenv.cfg && ! -e $venv/.lock ]]; then
        say ".venv was not made by this script; use it with SOCIALJAX_PYTHON=$venv/bin/python, or remove it"
        exit 1
    fi
    if ! is_ready; then
        if [[ -n ${DRY_RUN:-} ]]; then
            show "$(find_python)" -m venv "$venv"
            show "$venv/bin/python" -I -m pip install -c constraints.txt -e '.[test]'
        else
            mkdir -p "$venv"
            with_lock make_environment
        fi
    fi
fi

on_cpu() {
    [[ ${JAX_PLATFORMS:-} == cpu ]] && return
    [[ -z ${JAX_PLATFORMS:-} && ! -e /dev/nvidia0 && ! -e /dev/kfd && ! -e /dev/accel0 && ! -e /dev/vfio/0 ]]
}
# XLA's CPU backend asks for its large temporaries anew in every step, and the page faults cost more than the
# arithmetic. Huge pages that malloc keeps: a step of gather, scatter and Adam on 55,579 x 64 rows falls from 20.9 to
# 7.2 ms of CPU time. One arena, since each thread's own would keep its peak: a Yelp run needs 0.8 instead of 1.0 GiB.
# Results do not change.
if [[ -z ${GLIBC_TUNABLES:-}${MALLOC_MMAP_THRESHOLD_:-} && $(uname -sm) == "Linux x86_64" ]] && on_cpu &&
    getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
    tunables=(hugetlb=1 mmap_threshold=30000000 trim_threshold=4000000000 arena_max=1)
    GLIBC_TUNABLES=$(IFS=:; echo "${tunables[*]/#/glibc.malloc.}")
    export GLIBC_TUNABLES
fi
# This checkout, not another one that an environment may know under the same name.
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}

if [[ -n ${DRY_RUN:-} ]]; then
    show cd "$root"
    for name in PYTHONPATH GLIBC_TUNABLES SOCIALJAX_DATA SOCIALJAX_CACHE; do
        if [[ -n ${!name:-} ]]; then show export "$name=${!name}"; fi
    done
    show exec "$python" "$@"
    exit
fi
exec "$python" "$@"
