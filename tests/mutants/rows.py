"""Mutants of steps that change only rows, and of sampled neighbourhoods."""

from tests.mutants.mutant import Mutant

ROWS, FOREST, DRAWN = "socialjax/train/rows.py", "socialjax/ops/forest.py", "socialjax/models/neighbourhoods.py"
OURS = "tests/train/test_row_steps.py::"
ADAGRAD = (OURS + "test_row_wise_adagrad_by_hand_with_a_row_that_comes_twice_and_with_padding",)
SGD = (OURS + "test_sgd_by_rows_is_dense_sgd",)
LAZY = (OURS + "test_lazy_adam_is_adam_where_each_step_reads_every_row",)
PLAIN = (OURS + "test_the_gradient_of_rows_is_that_of_whole_tables[bpr]",)
WHOLE = (OURS + "test_fanouts_above_every_degree_give_the_gradient_of_the_whole_graph[svdpp]",)
MEAN = (OURS + "test_layers_of_drawn_neighbours_are_those_of_all_in_the_mean[lightgcn]",)
DEVICES = (OURS + "test_devices_change_nothing",)

MUTANTS = (
    Mutant(
        "accumulator-of-sums",
        ROWS,
        "squares = jnp.mean(",
        "squares = jnp.sum(",
        ADAGRAD,
        "the rate of row-wise Adagrad hangs on the width",
    ),
    Mutant(
        "rows-by-the-sum",
        ROWS,
        "-rate / weight * gradients",
        "-rate * gradients",
        SGD,
        "a step by rows grows with the batch",
    ),
    Mutant(
        "sums-not-cleared",
        ROWS,
        '"sum": put(summed, jnp.zeros_like(gradient)),',
        '"sum": summed,',
        LAZY,
        "gradients of all steps add up",
    ),
    Mutant(
        "negatives-row-by-row",
        "socialjax/contract.py",
        "jnp.concatenate([batch.items, batch.negatives.T.reshape(-1)])",
        "jnp.concatenate([batch.items, batch.negatives.reshape(-1)])",
        PLAIN,
        "negatives get each other's rows",
    ),
    Mutant(
        "drawn-edges-weigh-one",
        FOREST,
        'get(mode="clip") * length',
        'get(mode="clip")',
        MEAN,
        "users of many neighbours get too small a sum",
    ),
    Mutant(
        "edges-left-over",
        FOREST,
        "return slot * whole + slot * rest // fanout",
        "return slot * whole",
        WHOLE,
        "the edges beyond a multiple of the fan-out are never drawn",
    ),
    Mutant(
        "target-stays-in-the-history",
        DRAWN,
        "weight = jnp.where(senders == without[:, None], 0.0, weight)",
        "weight = weight + 0.0",
        WHOLE,
        "the answer is among the neighbours",
    ),
    Mutant(
        "rest-of-a-history-unweighed",
        DRAWN,
        "(count / jnp.maximum(count - 1, 1)) ** past.exponent",
        "1.0",
        WHOLE,
        "a history without its target weighs less than one of that length",
    ),
    Mutant(
        "rows-of-one-device",
        "socialjax/train/step.py",
        "of_rows = gather(of_rows)",
        "of_rows = dict(of_rows)",
        DEVICES,
        "each device trains a table of its own",
    ),
)
