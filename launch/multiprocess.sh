#!/usr/bin/env bash
# Starts N processes of one program on this machine, joined through jax.distributed:
#
#   bash launch/multiprocess.sh 2 -m experiments.diffnet_yelp [ARGUMENT ...]
#
# Shows the output of process 0 and keeps the others' in log files. When one process fails the rest are ended and its
# exit status is the script's; Ctrl-C and SIGTERM end all. It is the CPU backend unless JAX_PLATFORMS says otherwise:
# one process drives all accelerators of a machine by itself (launch/local.sh).
#
#   SOCIALJAX_GRACE=15         seconds between SIGTERM (the run saves) and SIGKILL
#   DRY_RUN=1                  print what would run
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
if (($# < 2)) || [[ ! $1 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: bash launch/multiprocess.sh NUMBER_OF_PROCESSES -m MODULE [ARGUMENT ...]" >&2
    exit 2
fi
count=$1
shift
say() { printf 'multiprocess.sh: %s\n' "$*" >&2; }

export JAX_PLATFORMS=${JAX_PLATFORMS:-cpu} SOCIALJAX_NUM_PROCESSES=$count
if [[ -n ${DRY_RUN:-} ]]; then
    for ((id = 0; id < count; id++)); do
        echo "SOCIALJAX_COORDINATOR=127.0.0.1:PORT SOCIALJAX_NUM_PROCESSES=$count SOCIALJAX_PROCESS_ID=$id" \
            "JAX_PLATFORMS=$JAX_PLATFORMS bash launch/local.sh$(printf ' %q' "$@")"
    done
    exit
fi

# Also makes the environment, once, before the processes start.
port=$(bash "$here/local.sh" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export SOCIALJAX_COORDINATOR=127.0.0.1:$port
logs=$(mktemp -d "${TMPDIR:-/tmp}/socialjax-processes.XXXXXX")

pids=()
end_all() {
    local deadline=$((SECONDS + ${SOCIALJAX_GRACE:-15})) pid
    kill -TERM "${pids[@]}" 2>/dev/null || true
    # A process that waits inside a collective for one that is gone never gets to its signal handler.
    for pid in "${pids[@]}"; do
        while kill -0 "$pid" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null || true
    done
}
stop() {
    trap '' INT TERM
    end_all
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM

for ((id = 0; id < count; id++)); do
    if ((id == 0)); then
        SOCIALJAX_PROCESS_ID=$id bash "$here/local.sh" "$@" &
    else
        SOCIALJAX_PROCESS_ID=$id bash "$here/local.sh" "$@" >"$logs/process_$id.log" 2>&1 &
    fi
    pids+=($!)
done
if ((count > 1)); then say "$count processes at $SOCIALJAX_COORDINATOR; logs of 1 to $((count - 1)) in $logs"; fi

running=$count
done_before=()
first='' # the first that failed, before those that ended because of another one (status 75)
scans=0
while ((running > 0)) || [[ -n $first ]]; do
    for ((id = 0; id < count; id++)); do
        if [[ -n ${done_before[id]:-} ]] || kill -0 "${pids[id]}" 2>/dev/null; then continue; fi
        ended=0
        wait "${pids[id]}" || ended=$?
        done_before[id]=1
        running=$((running - 1))
        if ((ended != 0)) && [[ -z $first || ($status == 75 && $ended != 75) ]]; then first=$id status=$ended; fi
    done
    if [[ -n $first ]] && ((status != 75 || running == 0 || scans++ >= 5)); then
        say "process $first failed with status $status; ending the others"
        if ((first > 0)); then tail -n 20 "$logs/process_$first.log" >&2; fi
        stop "$status"
    fi
    if ((running > 0)); then sleep 0.1; fi
done
