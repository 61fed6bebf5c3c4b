"""The launch scripts: what they would run, that they run it, and that an environment is made once and whole."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = [LAUNCH / name for name in ("local.sh", "multiprocess.sh", "slurm.sbatch", "tpu_vm.sh", "rehearsal.sh")]
USED_ALONE = [LAUNCH / "rehearsal.sh"]  # without arguments it does what it is for
# Variables of the surrounding run that would change what the scripts do.
OURS = ("SOCIALJAX_", "GLIBC_TUNABLES", "MALLOC_", "DRY_RUN", "SLURM_", "PYTHONPATH", "XLA_FLAGS")


def environment(**changes):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {**kept, **{name: str(value) for name, value in changes.items()}}


def bash(script, *arguments, cwd=ROOT, seconds=120, **changes):
    command = ["bash", str(script), *map(str, arguments)]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, cwd=cwd, env=environment(**changes), **pipes) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()  # not kill: multiprocess.sh has processes of its own to end
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def here(script, *arguments, **changes):
    return bash(script, *arguments, SOCIALJAX_PYTHON=sys.executable, **changes)


@pytest.fixture
def clone(tmp_path):
    """A fresh clone, as far as the scripts see it."""
    root = tmp_path / "clone"
    shutil.copytree(LAUNCH, root / "launch")
    for name in ("constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, root)
    return root


@pytest.fixture
def toy_python(tmp_path):
    """A folder with a `python3.11` that makes empty environments and notes installs, so that no network is needed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "python3.11"
    program.write_text(
        f"""#!/usr/bin/env bash
case "$*" in
    *"-m venv"*) mkdir -p "${{@: -1}}/bin"; touch "${{@: -1}}/pyvenv.cfg"; cp "$0" "${{@: -1}}/bin/python" ;;
    *"pip install"*) echo install >>{tmp_path}/installs; sleep 0.3; [[ ! -e {tmp_path}/no_network ]] ;;
    *"import sys, venv"*) ;;
    *) echo "ran $*" ;;
esac
"""
    )
    program.chmod(0o755)
    broken = folder / "python3.13"  # a version manager's shim for a Python that is not installed
    broken.write_text("#!/usr/bin/env bash\nexit 127\n")
    broken.chmod(0o755)
    shutil.copy(broken, folder / "python3.12")
    return folder


def count_installs(tmp_path):
    notes = tmp_path / "installs"
    return len(notes.read_text().splitlines()) if notes.exists() else 0


@pytest.mark.parametrize("script", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_scripts_parse_and_are_executable(script):
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_without_arguments_they_say_how_they_are_used(script):
    done = bash(script, *(["--help"] if script in USED_ALONE else []))
    assert done.returncode == 2 and "usage" in done.stderr


def test_local_runs_in_the_root_from_any_folder_and_passes_arguments_and_status(tmp_path):
    code = "import os, sys; print(os.getcwd()); print(sys.argv[1:]); import socialjax; sys.exit(7)"
    done = here(LAUNCH / "local.sh", "-c", code, "a b", "$c", cwd=tmp_path)
    assert done.stdout.splitlines() == [str(ROOT), "['a b', '$c']"]
    assert done.returncode == 7


def test_local_runs_modules():
    assert here(LAUNCH / "local.sh", "-m", "pytest", "--version").stdout.startswith("pytest")


def test_local_takes_folders_in_variables_from_the_callers_folder(tmp_path):
    code = "import os; print(os.environ['SOCIALJAX_DATA'], os.environ['SOCIALJAX_CACHE'])"
    done = here(LAUNCH / "local.sh", "-c", code, cwd=tmp_path, SOCIALJAX_DATA="my data", SOCIALJAX_CACHE="/cache")
    assert done.stdout.strip() == f"{tmp_path}/my data /cache"


def test_local_becomes_the_python_process_so_that_signals_arrive():
    command = ["bash", str(LAUNCH / "local.sh"), "-c", "import os; print(os.getpid())"]
    variables = environment(SOCIALJAX_PYTHON=sys.executable)
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert int(process.stdout.readline()) == process.pid


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="allocator settings: Linux x86-64"
)
def test_allocator_settings_only_where_nobody_set_them_and_only_for_the_cpu():
    code = "import os; print(os.environ.get('GLIBC_TUNABLES'))"

    def tunables(**changes):
        return here(LAUNCH / "local.sh", "-c", code, **changes).stdout.strip()

    assert "glibc.malloc.hugetlb=1" in tunables(JAX_PLATFORMS="cpu")
    assert tunables(JAX_PLATFORMS="cpu", GLIBC_TUNABLES="glibc.malloc.perturb=0") == "glibc.malloc.perturb=0"
    assert tunables(JAX_PLATFORMS="cpu", MALLOC_MMAP_THRESHOLD_="1000000") == "None"
    assert tunables(JAX_PLATFORMS="cuda") == "None"


def test_dry_run_of_a_fresh_clone_shows_the_install_and_makes_nothing(clone, toy_python):
    path = f"{toy_python}:{os.environ['PATH']}"
    lines = bash(clone / "launch/local.sh", "-m", "pytest", DRY_RUN=1, PATH=path).stdout.splitlines()
    assert lines[0].split() == ["python3.11", "-m", "venv", f"{clone}/.venv"]
    assert "-m pip install -c constraints.txt -e .\\[test\\]" in lines[1]
    assert lines[-1].split() == ["exec", f"{clone}/.venv/bin/python", "-m", "pytest"]
    assert not (clone / ".venv").exists()


def test_the_environment_is_made_once_and_again_when_what_it_needs_changed(clone, toy_python, tmp_path):
    def start():
        return bash(clone / "launch/local.sh", "-m", "x", PATH=f"{toy_python}:{os.environ['PATH']}")

    assert start().stdout == "ran -m x\n" and start().stdout == "ran -m x\n"
    assert count_installs(tmp_path) == 1
    for name in ("constraints.txt", "pyproject.toml"):
        with (clone / name).open("a") as file:
            file.write("# changed\n")
        before = count_installs(tmp_path)
        (clone / ".venv" / "left_over").touch()
        assert start().returncode == 0 and start().returncode == 0
        assert count_installs(tmp_path) == before + 1
        assert not (clone / ".venv" / "left_over").exists()


def test_an_install_that_failed_is_reported_and_done_again(clone, toy_python, tmp_path):
    def start():
        return bash(clone / "launch/local.sh", "-m", "x", PATH=f"{toy_python}:{os.environ['PATH']}")

    (tmp_path / "no_network").touch()
    failed = start()
    assert failed.returncode != 0 and "ran" not in failed.stdout and "package index" in failed.stderr
    (tmp_path / "no_network").unlink()
    assert start().stdout == "ran -m x\n" and count_installs(tmp_path) == 2


@pytest.mark.parametrize("has_flock", [True, False])
def test_two_starts_at_once_make_one_environment(clone, toy_python, tmp_path, has_flock):
    if has_flock and shutil.which("flock") is None:
        pytest.skip("flock is not installed here")
    path = f"{toy_python}:{os.environ['PATH']}"
    if not has_flock:
        tools = tmp_path / "tools"
        tools.mkdir()
        for name in "bash env dirname cat cmp find rm cp mkdir touch mv sleep uname getconf".split():
            (tools / name).symlink_to(shutil.which(name))
        path = f"{toy_python}:{tools}"
    command = ["bash", str(clone / "launch/local.sh"), "-m", "x"]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    starts = [subprocess.Popen(command, env=environment(PATH=path), **pipes) for _ in range(3)]
    outputs = [process.communicate(timeout=60) for process in starts]
    assert [out for out, _ in outputs] == ["ran -m x\n"] * 3, outputs
    assert count_installs(tmp_path) == 1


def test_without_a_python_that_is_new_enough_it_says_what_to_install(clone, toy_python, tmp_path):
    for name in ("python3.11", "python3"):
        shutil.copy(toy_python / "python3.13", toy_python / name)
    done = bash(clone / "launch/local.sh", "-m", "x", PATH=f"{toy_python}:{os.environ['PATH']}")
    assert done.returncode != 0 and "3.11" in done.stderr and "SOCIALJAX_PYTHON" in done.stderr
    done = bash(clone / "launch/local.sh", "-m", "x", SOCIALJAX_PYTHON="no-such-python")
    assert done.returncode != 0 and "no-such-python" in done.stderr


def test_an_environment_of_somebody_else_is_left_alone(clone, toy_python):
    (clone / ".venv").mkdir()
    (clone / ".venv" / "pyvenv.cfg").write_text("mine")
    done = bash(clone / "launch/local.sh", "-m", "x", PATH=f"{toy_python}:{os.environ['PATH']}")
    assert done.returncode != 0 and "not made by this script" in done.stderr
    assert (clone / ".venv" / "pyvenv.cfg").read_text() == "mine"


def test_multiprocess_dry_run_numbers_the_processes():
    lines = bash(LAUNCH / "multiprocess.sh", 3, "-m", "experiments.x", "a b", DRY_RUN=1).stdout.splitlines()
    assert [re.search(r"PROCESS_ID=(\d)", line)[1] for line in lines] == ["0", "1", "2"]
    assert all("NUM_PROCESSES=3" in line and line.endswith("-m experiments.x a\\ b") for line in lines)


def test_multiprocess_joins_processes_through_jax_distributed(tmp_path):
    code = (
        "import os, jax; variable = lambda name: os.environ['SOCIALJAX_' + name]\n"
        "jax.distributed.initialize(variable('COORDINATOR'), int(variable('NUM_PROCESSES')), "
        "int(variable('PROCESS_ID')))\n"
        "print(jax.process_index(), jax.process_count(), jax.local_device_count(), jax.device_count())"
    )
    done = here(LAUNCH / "multiprocess.sh", 2, "-c", code, TMPDIR=tmp_path, JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "2", "1", "2"]  # of process 0 alone
    log = next(tmp_path.glob("socialjax-processes.*/process_1.log"))
    assert log.read_text().split()[-4:] == ["1", "2", "1", "2"]


WAIT_OR_FAIL = """
import os, sys, time
if os.environ['SOCIALJAX_PROCESS_ID'] == '1':
    sys.exit('process one gives up') if sys.argv[1] == 'message' else sys.exit(7)
open(os.path.join(os.environ['TMPDIR'], 'pid' + os.environ['SOCIALJAX_PROCESS_ID']), 'w').write(str(os.getpid()))
time.sleep(100)
"""


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_multiprocess_ends_the_others_when_one_fails(tmp_path):
    begin = time.monotonic()
    done = here(LAUNCH / "multiprocess.sh", 3, "-c", WAIT_OR_FAIL, "status", TMPDIR=tmp_path)
    assert done.returncode == 7 and "process 1 failed" in done.stderr
    assert time.monotonic() - begin < 60
    assert not any(is_running(int(file.read_text())) for file in tmp_path.glob("pid?") if file.read_text())
    done = here(LAUNCH / "multiprocess.sh", 2, "-c", WAIT_OR_FAIL, "message", TMPDIR=tmp_path)
    assert done.returncode == 1 and "process one gives up" in done.stderr


GONE = """
import os, sys, time
if os.environ['SOCIALJAX_PROCESS_ID'] == '2':
    time.sleep(0.25)
    os.kill(os.getpid(), 9)
print(f"process 2 of 3 is gone, says {os.environ['SOCIALJAX_PROCESS_ID']}", file=sys.stderr)
sys.exit(75)
"""


def test_multiprocess_names_the_process_that_died_not_those_that_ended_because_of_it(tmp_path):
    done = here(LAUNCH / "multiprocess.sh", 3, "-c", GONE, TMPDIR=tmp_path)
    assert done.returncode == 137 and "process 2 failed with status 137" in done.stderr
    assert "is gone, says 0" in done.stderr
    done = here(LAUNCH / "multiprocess.sh", 2, "-c", GONE, TMPDIR=tmp_path)
    assert done.returncode == 75 and re.search("process [01] failed with status 75", done.stderr)


# What a shell starts in the background ignores SIGINT and cannot change that; the tests may run there.
HEARS_SIGINT = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
)


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_multiprocess_ends_all_on_a_signal(tmp_path, sent, status):
    command = [
        sys.executable,
        "-c",
        HEARS_SIGINT,
        "bash",
        str(LAUNCH / "multiprocess.sh"),
        "2",
        "-c",
        WAIT_OR_FAIL.replace("== '1'", "== 'none'"),
    ]
    variables = environment(SOCIALJAX_PYTHON=sys.executable, TMPDIR=tmp_path)
    with subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL) as process:
        files = [tmp_path / "pid0", tmp_path / "pid1"]
        deadline = time.monotonic() + 60
        while not all(file.exists() and file.read_text() for file in files) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(timeout=60) == status
    assert not any(is_running(int(file.read_text())) for file in files)


def test_slurm_dry_run_names_coordinator_and_takes_the_process_id_in_the_task():
    out = bash(LAUNCH / "slurm.sbatch", "-m", "experiments.x", DRY_RUN=1, SLURM_JOB_ID=20001, SLURM_NTASKS=4).stdout
    assert "SOCIALJAX_COORDINATOR=FIRST_NODE:20001 SOCIALJAX_NUM_PROCESSES=4 srun" in out
    assert "SOCIALJAX_PROCESS_ID=" in out and "SLURM_PROCID" in out
    text = (LAUNCH / "slurm.sbatch").read_text()
    directives = [number for number, line in enumerate(text.splitlines()) if line.startswith("#SBATCH")]
    assert directives == list(range(1, len(directives) + 1))  # SLURM reads none after the first command


def test_slurm_tasks_learn_their_number_and_run(tmp_path):
    """The task's command, run with a toy `srun` that starts it twice, as SLURM does."""
    for name, body in {
        "srun": 'shift; for id in 0 1; do SLURM_PROCID=$id "$@"; done',
        "scontrol": "for n in {7..2000}; do echo node$n; done",  # more than one reader of the first line takes
    }.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    code = "import os; print(*(os.environ['SOCIALJAX_' + n] for n in ('COORDINATOR', 'NUM_PROCESSES', 'PROCESS_ID')))"
    slurm = dict(SLURM_JOB_NODELIST="node[7-8]", SLURM_JOB_ID=5, SLURM_NTASKS=2, SLURM_SUBMIT_DIR=ROOT)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = here(LAUNCH / "slurm.sbatch", "-c", code, cwd=tmp_path, PATH=path, **slurm)
    assert done.stdout.splitlines() == ["node7:20005 2 0", "node7:20005 2 1"], done.stderr


@pytest.mark.parametrize(
    "statuses, requeue, status, starts",
    [
        ((0,), "", 0, 1),
        ((75, 137, 0), "", 0, 3),  # a process died, twice
        ((75, 75, 75, 75, 75, 0), "", 75, 4),
        ((1, 0), "", 1, 1),  # an error of its own would come again
        ((143, 0), "", 143, 1),  # the time limit
        ((143, 0), "1", 0, 1),
    ],
)
def test_slurm_starts_the_step_again_when_a_process_died(tmp_path, statuses, requeue, status, starts):
    """With a toy `srun` that ends with these statuses, one after the other."""
    (tmp_path / "statuses").write_text("".join(f"{number}\n" for number in statuses))
    for name, body in {
        "srun": f'cd {tmp_path}; echo x >>starts; s=$(sed -n "$(wc -l <starts)p" statuses); exit $s',
        "scontrol": f'if [[ $1 == requeue ]]; then echo "$2" >{tmp_path}/requeued; else echo node7; fi',
    }.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    slurm = dict(SLURM_JOB_NODELIST="node7", SLURM_JOB_ID=5, SLURM_NTASKS=2, SLURM_SUBMIT_DIR=ROOT)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = here(LAUNCH / "slurm.sbatch", "-c", "pass", PATH=path, SOCIALJAX_REQUEUE=requeue, **slurm)
    assert done.returncode == status, done.stderr
    assert len((tmp_path / "starts").read_text().splitlines()) == starts
    assert (tmp_path / "requeued").exists() == bool(requeue) and done.stderr.count("starting again") == starts - 1


def test_tpu_dry_run_sends_installs_and_starts_on_all_workers():
    variables = dict(DRY_RUN=1, TPU_NAME="pod", ZONE="zone-b")
    lines = bash(LAUNCH / "tpu_vm.sh", "-m", "experiments.x", **variables).stdout.splitlines()
    assert lines[0].startswith("git archive") and "scp" in lines[1]
    assert all("--worker=all" in line and "--zone=zone-b" in line for line in lines[1:])
    assert "jax" in lines[2] and "constraints.txt" in lines[2]
    assert "SOCIALJAX_COORDINATOR=auto" in lines[3] and "experiments.x" in lines[3]


def test_tpu_dry_run_asks_for_a_queued_resource():
    variables = dict(DRY_RUN=1, TPU_NAME="pod", ZONE="zone-b", ACCELERATOR="v5litepod-16", RUNTIME="image", SPOT=1)
    done = bash(LAUNCH / "tpu_vm.sh", "-m", "experiments.x", **variables)
    line = done.stdout.splitlines()[0]
    assert line.startswith("gcloud compute tpus queued-resources create pod --zone=zone-b --node-id=pod ")
    assert "--accelerator-type=v5litepod-16 --runtime-version=image --spot" in line
    assert "queued-resources delete pod --zone=zone-b --force" in done.stderr  # it costs until then
    assert bash(LAUNCH / "tpu_vm.sh", "-m", "x", **variables | {"RUNTIME": ""}).returncode == 2


GCLOUD = """#!/usr/bin/env bash
cd "$(dirname "$0")"; echo "$*" >>calls
case "$*" in
    *"queued-resources create"*) echo ACTIVE >state ;;
    *"queued-resources describe"*) cat state 2>/dev/null ;;
    *"queued-resources delete"*) rm state ;;
    *"ssh"*auto*) # the program: the first time the slice is taken away
        if [[ -e second ]]; then exit ${LAST:-0}; fi
        touch second; echo SUSPENDED >state; exit 255 ;;
esac
"""


def test_tpu_a_slice_that_was_taken_away_is_asked_for_again(tmp_path):
    """With a toy `gcloud`."""
    (tmp_path / "gcloud").write_text(GCLOUD)
    (tmp_path / "gcloud").chmod(0o755)
    path, tpu = f"{tmp_path}:{os.environ['PATH']}", dict(TPU_NAME="pod", ZONE="z", ACCELERATOR="v5", RUNTIME="i")
    done = bash(LAUNCH / "tpu_vm.sh", "-m", "experiments.x", PATH=path, TMPDIR=tmp_path, **tpu)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    verbs = re.findall(r"queued-resources (create|delete)", calls)
    assert verbs == ["create", "delete", "create"] and calls.count("scp") == 2
    done = bash(LAUNCH / "tpu_vm.sh", "-m", "experiments.x", PATH=path, TMPDIR=tmp_path, LAST=1, **tpu)
    assert done.returncode == 1 and "starting again" not in done.stderr  # an error of its own


def test_kubernetes_job_agrees_with_itself():
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all((LAUNCH / "k8s" / "job.yaml").read_text())
    spec, name = job["spec"], job["metadata"]["name"]
    pod = spec["template"]["spec"]
    variables = {entry["name"]: entry for entry in pod["containers"][0]["env"]}
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == int(variables["SOCIALJAX_NUM_PROCESSES"]["value"])
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": name}
    assert variables["SOCIALJAX_COORDINATOR"]["value"].split(":")[0] == f"{name}-0.{pod['subdomain']}"
    path = variables["SOCIALJAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    claims = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} <= claims


# Fields of jobset.x-k8s.io/v1alpha2 (api/jobset/v1alpha2/jobset_types.go of kubernetes-sigs/jobset), as far as ours go.
JOB_SET = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {
        *("replicatedJobs", "network", "successPolicy", "failurePolicy", "startupPolicy", "suspend", "coordinator"),
        *("managedBy", "ttlSecondsAfterFinished", "volumeClaimPolicies"),
    },
    "network": {"enableDNSHostnames", "subdomain", "publishNotReadyAddresses"},
    "failurePolicy": {"maxRestarts", "restartStrategy", "rules"},
    "rule": {"name", "action", "onJobFailureReasons", "onJobFailureMessagePatterns", "targetReplicatedJobs"},
    "replicatedJob": {"name", "groupName", "template", "replicas", "dependsOn"},
    "template": {"metadata", "spec"},
    "job": {
        *("completionMode", "completions", "parallelism", "backoffLimit", "podFailurePolicy", "template"),
        *("activeDeadlineSeconds", "ttlSecondsAfterFinished", "suspend"),
    },
    "container": {
        *("name", "image", "workingDir", "command", "args", "env", "resources", "volumeMounts", "ports"),
        *("securityContext", "imagePullPolicy"),
    },
}
ACTIONS = {
    *("FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"),
    *("RestartJob", "RestartJobAndIgnoreMaxRestarts"),
}


def test_job_set_has_fields_that_exist_and_agrees_with_itself():
    yaml = pytest.importorskip("yaml")
    whole = yaml.safe_load((LAUNCH / "k8s" / "jobset.yaml").read_text())
    assert whole["apiVersion"] == "jobset.x-k8s.io/v1alpha2" and whole["kind"] == "JobSet"
    spec, name = whole["spec"], whole["metadata"]["name"]
    (jobs,) = spec["replicatedJobs"]
    job = jobs["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    parts = [("", whole), ("spec", spec), ("network", spec["network"]), ("failurePolicy", spec["failurePolicy"])]
    parts += [("rule", rule) for rule in spec["failurePolicy"]["rules"]]
    parts += [("replicatedJob", jobs), ("template", jobs["template"]), ("job", job), ("container", container)]
    assert {kind: set(part) - JOB_SET[kind] for kind, part in parts if set(part) - JOB_SET[kind]} == {}
    for rule in spec["failurePolicy"]["rules"]:
        assert rule["action"] in ACTIONS and re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", rule["name"])
    variables = {entry["name"]: entry for entry in container["env"]}
    assert jobs["replicas"] == 1 and job["completionMode"] == "Indexed" and job["backoffLimit"] == 0
    assert job["completions"] == job["parallelism"] == int(variables["SOCIALJAX_NUM_PROCESSES"]["value"])
    host = variables["SOCIALJAX_COORDINATOR"]["value"].split(":")[0]
    assert host == f"{name}-{jobs['name']}-0-0.{name}"  # JobSet-job-job index-pod index, in the subdomain of its name
    assert spec["network"]["enableDNSHostnames"] is True and spec["failurePolicy"]["maxRestarts"] > 0
    # A Job may have a podFailurePolicy only with this; a status that means "start again" must not be in it.
    assert pod["restartPolicy"] == "Never"
    for rule in job["podFailurePolicy"]["rules"]:
        assert rule["onExitCodes"]["containerName"] == container["name"] and 75 not in rule["onExitCodes"]["values"]
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    assert pod["terminationGracePeriodSeconds"] >= 60


@pytest.mark.slow
def test_the_rehearsal_ends_well(tmp_path):
    done = here(LAUNCH / "rehearsal.sh", tmp_path / "rehearsal", seconds=900, SOCIALJAX_CACHE=tmp_path / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"process 2 of 4 \(host .*\) is gone; ending", done.stdout)) == 3
    assert "the same, to 1e-5" in done.stdout
