#!/usr/bin/env bash
# Runs one program on all workers of a Cloud TPU VM or slice:
#
#   TPU_NAME=my-tpu ZONE=europe-west4-b bash launch/tpu_vm.sh -m experiments.diffnet_yelp --workdir /mnt/shared/yelp
#
# Sends the committed files to every worker, makes the environment there with jax[tpu], and starts the program on all;
# the workers find each other by themselves (SOCIALJAX_COORDINATOR=auto). The workers need Python 3.11 or newer, and on
# slices --workdir must lie on a file system that all of them see. DRY_RUN=1 prints what would run.
#
#   PROJECT=my-project         instead of gcloud's own
#   ACCELERATOR=v5litepod-16   asks for the slice as a queued resource named $TPU_NAME, and waits until it is there
#   RUNTIME=v2-alpha-tpuv5-lite   its image, which belongs to the type (Google's list of TPU software versions)
#   SPOT=1                     may be taken away: then it is asked for again, and the run goes on from its checkpoint
#   SOCIALJAX_RESTARTS=3       how often the program is started again after its workers or a process of it were lost
#
# A queued resource costs until it is deleted; the last line says how.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if (($# == 0)) || [[ -z ${TPU_NAME:-} || -z ${ZONE:-} ]] || [[ -n ${ACCELERATOR:-} && -z ${RUNTIME:-} ]]; then
    echo "usage: TPU_NAME=NAME ZONE=ZONE [PROJECT=PROJECT] [ACCELERATOR=TYPE RUNTIME=IMAGE [SPOT=1]] \\
    bash launch/tpu_vm.sh -m MODULE [ARGUMENT ...]" >&2
    exit 2
fi
say() { printf 'tpu_vm.sh: %s\n' "$*" >&2; }
zone=("--zone=$ZONE" ${PROJECT:+"--project=$PROJECT"})

run() {
    if [[ -n ${DRY_RUN:-} ]]; then
        printf '%q ' "$@"
        echo
    else
        "$@"
    fi
}
on_workers() { run gcloud compute tpus tpu-vm ssh "$TPU_NAME" "${zone[@]}" --worker=all "--command=$1"; }
queued() { run gcloud compute tpus queued-resources "$1" "$TPU_NAME" "${zone[@]}" "${@:2}"; }
state() {
    if [[ -n ${DRY_RUN:-} ]]; then echo ACTIVE; else queued describe "--format=value(state.state)" 2>/dev/null || true; fi
}

# Asks for the slice unless it is there, and waits for it. One that was taken away is SUSPENDED and only good for deletion.
have_slice() {
    if [[ -z ${ACCELERATOR:-} ]]; then return; fi
    local now
    now=$(state)
    case $now in
        SUSPENDED | FAILED) queued delete --force --quiet && now='' ;;
    esac
    if [[ -z $now || -n ${DRY_RUN:-} ]]; then
        queued create "--node-id=$TPU_NAME" "--accelerator-type=$ACCELERATOR" "--runtime-version=$RUNTIME" ${SPOT:+--spot}
    fi
    until now=$(state) && [[ $now == ACTIVE ]]; do
        case $now in
            FAILED | SUSPENDED | '') say "the slice is ${now:-gone}, not ACTIVE" && return 1 ;;
        esac
        say "the slice is $now; waiting"
        sleep 30
    done
}

archive=${TMPDIR:-/tmp}/socialjax-$$.tar.gz
trap 'rm -f "$archive"' EXIT
start_all() {
    # Joined by &&: bash ignores `set -e` where the caller looks at the status.
    run git archive --format=tar.gz "--output=$archive" HEAD &&
        run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:socialjax.tar.gz" "${zone[@]}" --worker=all &&
        on_workers "mkdir -p socialjax && tar -xzf socialjax.tar.gz -C socialjax && cd socialjax && \
bash launch/local.sh -c pass && .venv/bin/python -m pip install --quiet -c constraints.txt 'jax[tpu]'" &&
        on_workers "cd socialjax && SOCIALJAX_COORDINATOR=auto bash launch/local.sh$(printf ' %q' "$@")"
}

for ((start = 0; ; start++)); do
    status=0
    have_slice && start_all "$@" || status=$?
    # An error of the program (1), wrong arguments (2) and a stop (130, 143) would come again.
    is_lost=$((status == 75 || status == 137 || status == 255))
    if [[ -n ${ACCELERATOR:-} && $(state) != ACTIVE ]]; then is_lost=1; fi
    if ((status == 0 || !is_lost || start >= ${SOCIALJAX_RESTARTS:-3})); then break; fi
    say "ended with status $status; starting again ($((start + 1)) of ${SOCIALJAX_RESTARTS:-3})"
done
if [[ -n ${ACCELERATOR:-} ]]; then
    say "the slice costs until: gcloud compute tpus queued-resources delete $TPU_NAME ${zone[*]} --force"
fi
exit "$status"
