"""The pages that say how to add something: their code runs as it stands there."""

import pytest

from tests.pages import ROOT, blocks, loaded, patched, run_tests, written


def test_add_a_dataset(tmp_path):
    page = ROOT / "docs" / "add_a_dataset.md"
    with written(page, tmp_path / "code") as modules, pytest.MonkeyPatch.context() as patch:
        assert run_tests(modules["tests/data/test_bookclub.py"], tmp_path) == 3
        ((path, diff),) = blocks(page, "diff").items()
        registry = loaded(
            patch, "socialjax.data.sets.registry", tmp_path / path, patched(diff, (ROOT / path).read_text())
        )
        assert registry.PUBLISHED["bookclub"] is modules["socialjax/data/sets/bookclub.py"].SET
        assert "bookclub" not in registry.SHAPES
