#!/usr/bin/env bash
# Runs one program on all workers of a Cloud TPU VM or slice that exists:
#
#   TPU_NAME=my-tpu ZONE=europe-west4-b bash launch/tpu_vm.sh -m experiments.diffnet_yelp --workdir /mnt/shared/yelp
#
# Sends the committed files to every worker, makes the environment there with jax[tpu], and starts the program on all;
# the workers find each other by themselves (SOCIALJAX_COORDINATOR=auto). The workers need Python 3.11 or newer, and on
# slices --workdir must lie on a file system that all of them see. DRY_RUN=1 prints what would run.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if (($# == 0)) || [[ -z ${TPU_NAME:-} || -z ${ZONE:-} ]]; then
    echo "usage: TPU_NAME=NAME ZONE=ZONE [PROJECT=PROJECT] bash launch/tpu_vm.sh -m MODULE [ARGUMENT ...]" >&2
    exit 2
fi
place=("--zone=$ZONE" --worker=all ${PROJECT:+"--project=$PROJECT"})

run() {
    if [[ -n ${DRY_RUN:-} ]]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}
on_workers() { run gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${place[@]}" "--command=$1"; }

archive=${TMPDIR:-/tmp}/socialjax-$$.tar.gz
trap 'rm -f "$archive"' EXIT
run git archive --format=tar.gz "--output=$archive" HEAD
run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:socialjax.tar.gz" "${place[@]}"
on_workers "mkdir -p socialjax && tar -xzf socialjax.tar.gz -C socialjax && cd socialjax && \
bash launch/local.sh -c pass && .venv/bin/python -m pip install --quiet -c constraints.txt 'jax[tpu]'"
on_workers "cd socialjax && SOCIALJAX_COORDINATOR=auto bash launch/local.sh$(printf ' %q' "$@")"
