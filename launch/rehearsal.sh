#!/usr/bin/env bash
# A rehearsal on this machine: 4 processes on loopback, each with 2 virtual devices of its own, train one model; one of
# them is killed with SIGKILL, the others must end, and the same command goes on with 2 processes. Its parameters must be
# those of a run that nobody disturbed, to 1e-5.
#
#   bash launch/rehearsal.sh [FOLDER]          default: a temporary folder
#
# Trains BPR on a generated set of FilmTrust's size, so it needs no data; about two minutes on two cores. The optimiser is
# SGD: Adam divides by the size of a gradient, and sums of other devices differ in their last bits.
#
#   VICTIM=2                   which process is killed, 0 to 3
#   DRY_RUN=1                  print what would run
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
victim=${VICTIM:-2}
if (($# > 1)) || [[ ${1:-} == -* || ! $victim =~ ^[0-3]$ ]]; then
    echo "usage: [VICTIM=0..3] bash launch/rehearsal.sh [FOLDER]" >&2
    exit 2
fi
say() { printf '%6.1f s  %s\n' "$(now)" "$*"; }
now() { local end=${EPOCHREALTIME/,/.}; awk "BEGIN {print $end - $began}"; }
began=${EPOCHREALTIME/,/.}

program=(-m socialjax train bpr --data.name filmtrust --data.offline --train.optimizer sgd --train.learning-rate 1
    --model.init-std 0.1 --train.batch-size 512 --train.epochs 20 --train.patience 0)
export JAX_PLATFORMS=cpu XLA_FLAGS=--xla_force_host_platform_device_count=2
unset SOCIALJAX_DATA SOCIALJAX_COORDINATOR SOCIALJAX_NUM_PROCESSES SOCIALJAX_PROCESS_ID
if [[ -n ${DRY_RUN:-} ]]; then
    for id in 0 1 2 3; do
        echo "SOCIALJAX_COORDINATOR=127.0.0.1:PORT SOCIALJAX_NUM_PROCESSES=4 SOCIALJAX_PROCESS_ID=$id" \
            "bash launch/local.sh ${program[*]} --train.save-seconds 0 --workdir FOLDER/killed"
    done
    echo "kill -KILL process $victim; then"
    echo "bash launch/multiprocess.sh 2 ${program[*]} --workdir FOLDER/killed"
    echo "bash launch/local.sh ${program[*]} --workdir FOLDER/undisturbed"
    exit
fi
folder=${1:-$(mktemp -d "${TMPDIR:-/tmp}/socialjax-rehearsal.XXXXXX")}
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd -P)
killed=(--workdir "$folder/killed-stand-in")
checkpoints=$folder/killed-stand-in/seed_0/checkpoints
if [[ -e $folder/killed-stand-in ]]; then
    echo "rehearsal.sh: $folder was used before; name another folder" >&2
    exit 2
fi

pids=()
trap 'kill -KILL "${pids[@]}" 2>/dev/null || true' EXIT
port=$(bash "$here/local.sh" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
say "4 processes with 2 devices each; logs and results in $folder"
for id in 0 1 2 3; do
    SOCIALJAX_COORDINATOR=127.0.0.1:$port SOCIALJAX_NUM_PROCESSES=4 SOCIALJAX_PROCESS_ID=$id \
        bash "$here/local.sh" "${program[@]}" --train.save-seconds 0 "${killed[@]}" >"$folder/process_$id.log" 2>&1 &
    pids+=($!)
done
until compgen -G "$checkpoints/[0-9]*" | grep -qE '/[0-9]+$'; do
    for id in 0 1 2 3; do
        if ! kill -0 "${pids[id]}" 2>/dev/null; then
            echo "rehearsal.sh: process $id ended before its first checkpoint:" >&2
            tail -n 20 "$folder/process_$id.log" >&2
            exit 1
        fi
    done
    sleep 0.1
done
kill -KILL "${pids[victim]}"
say "process $victim is killed"
at=$(now)
for id in 0 1 2 3; do
    status=0
    wait "${pids[id]}" 2>/dev/null || status=$?
    if ((id != victim)); then
        say "process $id has ended with status $status: $(grep 'start all again' "$folder/process_$id.log" || echo 'without a word')"
        if ((status != 75)); then exit 1; fi
    fi
done
say "the others ended within $(awk "BEGIN {printf \"%.1f\", $(now) - $at}") s"
pids=()

bash "$here/multiprocess.sh" 2 "${program[@]}" "${killed[@]}" >"$folder/resumed.log" 2>&1 || {
    tail -n 20 "$folder/resumed.log" >&2
    exit 1
}
say "2 processes with 2 devices each: $(grep 'going on from step' "$folder/resumed.log")"
unset XLA_FLAGS
bash "$here/local.sh" "${program[@]}" --workdir "$folder/undisturbed-stand-in" >"$folder/undisturbed.log" 2>&1
say "1 process with 1 device, which nobody disturbed, has finished"
bash "$here/local.sh" - "$folder" <<'PYTHON'
import json, sys
from pathlib import Path

import jax
import numpy as np

from socialjax.train.checkpoint import read_best

folders = [Path(sys.argv[1]) / name for name in ("killed-stand-in", "undisturbed-stand-in")]
ones, others = (jax.tree.leaves(read_best(folder / "seed_0" / "checkpoints")[0]) for folder in folders)
figures = [json.loads((folder / "seed_0" / "result.json").read_text())["metrics"]["NDCG@10"] for folder in folders]
differ = max(float(np.abs(a - b).max()) for a, b in zip(ones, others, strict=True))
print(f"NDCG@10 {figures[0]:.6f} and {figures[1]:.6f}; parameters differ by {differ:.1e} at most")
sys.exit(differ > 1e-5)
PYTHON
say "the same, to 1e-5"
