"""The pages that say how to add something: their code runs as it stands there."""

import pytest

from tests.pages import ROOT, blocks, loaded, patched, run_tests, written


def test_add_a_dataset(tmp_path):
    page = ROOT / "docs" / "add_a_dataset.md"
    with written(page, tmp_path / "code") as modules, pytest.MonkeyPatch.context() as patch:
        assert run_tests(modules["tests/data/test_bookclub.py"], tmp_path) == 3
        ((path, diff),) = blocks(page, "diff").items()
        text = patched(diff, (ROOT / path).read_text())
        sets = loaded(patch, "socialjax.data.sets", tmp_path / "list" / path, text)
        assert sets.PUBLISHED["bookclub"] is modules["socialjax/data/sets/bookclub.py"].SET
        assert "bookclub" not in sets.SHAPES


def test_add_a_metric(tmp_path):
    """With the definition in the test alone, or the formula in the library alone, the test fails."""
    page = ROOT / "docs" / "add_a_metric.md"
    (library, formula), (test, definition) = blocks(page, "diff").items()
    ours, theirs = (ROOT / library).read_text(), (ROOT / test).read_text()

    def check(name, ours, theirs):
        with pytest.MonkeyPatch.context() as patch:
            loaded(patch, "socialjax.eval.metrics", tmp_path / name / library, ours)
            module = loaded(patch, "tests.eval.test_metrics", tmp_path / name / test, theirs)
            module.test_metrics_are_the_mean_over_all_orders_of_tied_scores()

    check("both", patched(formula, ours), patched(definition, theirs))
    with pytest.raises(AssertionError):
        check("one", patched(formula, ours), theirs)
    with pytest.raises(AssertionError):
        check("other", ours, patched(definition, theirs))


def test_add_an_explanation(tmp_path, finished_runs, places, call):
    page = ROOT / "docs" / "add_an_explanation.md"
    with written(page, tmp_path / "code") as modules, pytest.MonkeyPatch.context() as patch:
        assert run_tests(modules["tests/explain/test_sentence.py"], tmp_path) == 3
        ((path, diff),) = blocks(page, "diff").items()
        text = patched(diff, (ROOT / path).read_text())
        command = loaded(patch, "socialjax.commands.explain", tmp_path / "command" / path, text)
        words = [finished_runs["diffnet"], "--user", "guest3", "--k", "2"]
        code, out, _ = call(lambda _, arguments: command.main(arguments), None, *words, "--sentences")
        assert code == 0 and len(out.splitlines()) == 2 and out.count(": most of all ") == 2
        code, out, _ = call(lambda _, arguments: command.main(arguments), None, *words)
        assert code == 0 and ": most of all " not in out
