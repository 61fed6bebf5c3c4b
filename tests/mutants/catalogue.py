"""All mutants, by what they spoil."""

from tests.mutants import doors, evaluation, large_data, leaks, recommenders, rows, training
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *leaks.MUTANTS,
    *evaluation.MUTANTS,
    *training.MUTANTS,
    *recommenders.MUTANTS,
    *doors.MUTANTS,
    *large_data.MUTANTS,
    *rows.MUTANTS,
)
