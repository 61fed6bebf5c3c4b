"""What a paper's tables hold: which data sets, which models in which order, and what is reported elsewhere."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Reported:
    """Figures published elsewhere for one of our models, and how their setting differs.

    protocol: the one of ours under which they were measured; dim: the embedding size. Ours stand beside them only under
    the same protocol and at the same width.
    """

    dataset: str
    model: str
    name: str
    note: str
    metrics: dict[str, float]
    protocol: str
    dim: int


@dataclasses.dataclass(frozen=True)
class Paper:
    """models: name -> label, in the order of the tables; reference lines come first. notes: model -> why it has
    no run of its own. swept: settings with a table of their own -> the values of its columns. apart: name of a run that
    stands in the tables, but is never the best one nor in a test -> why."""

    name: str
    title: str
    datasets: tuple[str, ...]
    models: dict[str, str]
    reported: tuple[Reported, ...] = ()
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    swept: dict[str, tuple] = dataclasses.field(default_factory=dict)
    apart: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        unknown = {row.model for row in self.reported} | set(self.notes)
        if unknown := sorted(unknown - set(self.models)):
            raise ValueError(f"{', '.join(unknown)} must be among the models of {self.name}: {', '.join(self.models)}")

    def label(self, name: str, model: str) -> str:
        """`DiffNet`, or `DiffNet, with features` for the run `diffnet-features` of the model `diffnet`."""
        variant = name.removeprefix(model).lstrip("-") if name.startswith(model) else name
        said = {"": "", "features": ", with features"}.get(variant, f", {variant.replace('-', ' ')}")
        return f"{self.models.get(model, model)}{said}"

    def place(self, name: str, model: str) -> tuple[int, str, str]:
        """Sorts runs: the paper's models in its order, then others; a model's main run before its variants."""
        order = list(self.models)
        return order.index(model) if model in self.models else len(order), model, name

    def reported_for(self, dataset: str, model: str) -> list[Reported]:
        """The rows reported for that model on that data set; often none."""
        return [row for row in self.reported if (row.dataset, row.model) == (dataset, model)]
