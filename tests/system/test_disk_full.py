"""A disk that fills up while a checkpoint is saved."""

import time

import pytest

LIMIT = "40000"  # bytes a file: more than metrics.jsonl takes, less than the arrays of a checkpoint


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error_and_the_checkpoint_before_it_is_kept(commands, tmp_path):
    folder, wide = tmp_path / "run", ("--model.dim", "128", "--train.epochs", "30")
    process = commands.start(folder, *wide)
    while not any(path.name.isdigit() for path in folder.glob("seed_0/checkpoints/*")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    before = sorted((p.name for p in folder.glob("seed_0/checkpoints/*") if p.name.isdigit()), key=int)

    code, out, error = commands.run(folder, *wide, FILE_LIMIT=LIMIT, JAX_ENABLE_COMPILATION_CACHE="false")
    assert (code, out) == (1, ""), error
    assert "Traceback" not in error
    last = error.splitlines()[-1]
    assert last.startswith("error: the checkpoint could not be saved under ") and "File too large" in last
    assert last.count("same command again") == 1
    assert before[-1] in [path.name for path in folder.glob("seed_0/checkpoints/*")]

    code, out, error = commands.run(folder, *wide)
    assert code == 0, error
    assert f"going on from step {before[-1]} " in error
    assert "bpr (seeds 0)" in out
