"""Settings that cannot be run are refused when they are made."""

import pytest

from socialjax.eval.protocol import Protocol
from socialjax.models import BPR
from socialjax.run.settings import EvalSettings, Experiment


@pytest.mark.parametrize("seeds", [(), (1, 1), (-1,), (0, -2), (0, 2**32)])
def test_seeds_are_different_numbers_of_32_bits(seeds):
    with pytest.raises(ValueError, match=r"--seeds wants different numbers of 0 to 2\^32 - 1"):
        Experiment(model=BPR(), seeds=seeds)


def test_cut_offs_of_the_test_part_need_not_hold_the_one_epochs_are_chosen_by():
    assert EvalSettings(ks=(5, 20)).make("full").ks == (5, 20)
    with pytest.raises(ValueError, match="cut-offs must be positive"):
        EvalSettings(ks=())


@pytest.mark.parametrize("field", ["protocol", "validation_protocol", "also"])
def test_every_protocol_is_checked(field):
    with pytest.raises(ValueError, match="got 'sampled-strict'"):
        EvalSettings(**{field: ("full", "sampled-strict") if field == "also" else "sampled-strict"})


def test_protocols_share_cut_offs_and_seed():
    assert EvalSettings(ks=(10, 3), seed=5).make("full") == Protocol("full", ks=(10, 3), seed=5)
