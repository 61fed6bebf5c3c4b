"""All mutants, by what they spoil."""

from tests.mutants import doors, evaluation, leaks, recommenders, training
from tests.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *leaks.MUTANTS,
    *evaluation.MUTANTS,
    *training.MUTANTS,
    *recommenders.MUTANTS,
    *doors.MUTANTS,
)
