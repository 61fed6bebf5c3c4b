"""The papers whose tables are made: their data sets, models and the figures reported elsewhere.

What a paper's tables hold: which data sets, which models in which order, and what is reported elsewhere.
"""

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
    """What its tables hold.

    Attributes:
        name: of the paper, as one types it.
        title: of its pages.
        datasets: whose tables it has.
        models: name -> label, in the order of the tables; baselines come first.
        reported: figures published elsewhere.
        notes: model -> why it has no run of its own.
        swept: settings with a table of their own -> the values of its columns.
        apart: name of a run that stands in the tables, but is never the best one nor in a test -> why.
        metrics: of differences, groups and bars: hits, and NDCG, by which the best is chosen.
        baseline: name of the run with which every other is compared.
        one_family: whether all differences are corrected as one family, so that a pair of runs has one p. A family are
            the hypotheses from which conclusions are drawn together (Hochberg and Tamhane 1987; Demsar, JMLR 2006): the
            best model is found in the same figures, so its differences are no questions of their own. Without it, each
            table is one, such as that against a baseline that was named beforehand.
    """

    name: str
    title: str
    datasets: tuple[str, ...]
    models: dict[str, str]
    reported: tuple[Reported, ...] = ()
    notes: dict[str, str] = dataclasses.field(default_factory=dict)
    swept: dict[str, tuple] = dataclasses.field(default_factory=dict)
    apart: dict[str, str] = dataclasses.field(default_factory=dict)
    metrics: tuple[str, str] = ("HR@10", "NDCG@10")
    baseline: str = "bpr"
    one_family: bool = False

    def __post_init__(self):
        unknown = {row.model for row in self.reported} | set(self.notes)
        if unknown := sorted(unknown - set(self.models)):
            raise ValueError(f"{', '.join(unknown)} must be among the models of {self.name}: {', '.join(self.models)}")

    def label(self, name: str, model: str) -> str:
        """`DiffNet`, or `DiffNet, with features` for the run `diffnet-features` of the model `diffnet`."""
        variant = name.removeprefix(model).lstrip("-") if name.startswith(model) else name
        suffix = {"": "", "features": ", with features"}.get(variant, f", {variant.replace('-', ' ')}")
        return f"{self.models.get(model, model)}{suffix}"

    def place(self, name: str, model: str) -> tuple[int, str, str]:
        """Sorts runs: the paper's models in its order, then others; a model's main run before its variants."""
        order = list(self.models)
        return order.index(model) if model in self.models else len(order), model, name

    def reported_for(self, dataset: str, model: str) -> list[Reported]:
        """The rows reported for that model on that data set; often none."""
        return [row for row in self.reported if (row.dataset, row.model) == (dataset, model)]


DIFFNET = Paper(
    name="diffnet",
    title="DiffNet (Wu et al., SIGIR 2019)",
    datasets=("yelp", "flickr", "yelp_hin"),
    models={
        "bpr": "BPR",
        "fm": "FM",
        "svdpp": "SVD++",
        "trust_svd": "TrustSVD",
        "social_mf": "SocialMF",
        "soreg": "SoReg",
        "context_mf": "ContextMF",
        "gcmc": "GC-MC",
        "pinsage": "PinSage",
        "diffnet": "DiffNet",
        "diffnet_pp": "DiffNet++",
        "lr_gccf": "LR-GCCF",
        "lightgcn": "LightGCN",
        "social_lightgcn": "Social LightGCN",
    },
    notes={"fm": "without features FM is BPR with item bias: reported once, as BPR"},
    swept={"dim": (16, 32, 64), "depth": (0, 1, 2, 3)},
    apart={"social_lightgcn-longer-search": "searched further than the others, by hand"},
    # Only what could be checked at its source; the papers' own tables could not. Without a row: not available.
    reported=(
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' TensorFlow code",
            "review features, epoch chosen on test",
            {"HR@10": 0.3437, "NDCG@10": 0.2095},
            "sampled1000-official",
            32,
        ),
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' PaddlePaddle port",
            "review features",
            {"HR@10": 0.3421, "NDCG@10": 0.2128},
            "sampled1000-official",
            32,
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "features",
            {"HR@10": 0.3676, "NDCG@10": 0.2274},
            "sampled1000-official",
            64,
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "without features",
            {"HR@10": 0.3104, "NDCG@10": 0.1877},
            "sampled1000-official",
            64,
        ),
        Reported(
            "yelp",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, no selection on validation",
            {"NDCG@5": 0.1587, "NDCG@10": 0.1965, "NDCG@15": 0.2181},
            "sampled1000-strict",
            64,
        ),
        Reported(
            "flickr",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, no selection on validation",
            {"NDCG@5": 0.0977, "NDCG@10": 0.1072, "NDCG@15": 0.1159},
            "sampled1000-strict",
            64,
        ),
    ),
)
HASC = Paper(
    name="hasc",
    title="HASC (Wu et al., TKDE 2019)",
    datasets=("hasc_fs",),
    models={
        "bpr": "BPR",
        "soreg": "SoReg",
        "context_mf": "ContextMF",
        "vbpr": "VBPR",
        "vpoi": "VPOI",
        "acf": "ACF",
        "hasc": "HASC",
    },
    notes=dict.fromkeys(("vbpr", "vpoi"), "needs image features, and the authors' are not published"),
)
PAPERS = {paper.name: paper for paper in (DIFFNET, HASC)}
