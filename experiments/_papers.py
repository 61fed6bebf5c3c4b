"""The papers whose tables are made: their data sets, models and the figures reported elsewhere."""

from socialjax.run.report.paper import Paper, Reported

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
    # Only what could be checked at its source; the papers' own tables could not. Without a row: not available.
    reported=(
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' TensorFlow code",
            "review features, D = 32, epoch chosen on test",
            {"HR@10": 0.3437, "NDCG@10": 0.2095},
        ),
        Reported(
            "yelp",
            "diffnet",
            "DiffNet, the authors' PaddlePaddle port",
            "review features, D = 32",
            {"HR@10": 0.3421, "NDCG@10": 0.2128},
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "features, D = 64",
            {"HR@10": 0.3676, "NDCG@10": 0.2274},
        ),
        Reported(
            "yelp",
            "diffnet_pp",
            "a user's run of the authors' code",
            "without features, D = 64",
            {"HR@10": 0.3104, "NDCG@10": 0.1877},
        ),
        Reported(
            "yelp",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, D = 64, no selection on validation",
            {"NDCG@5": 0.1587, "NDCG@10": 0.1965, "NDCG@15": 0.2181},
        ),
        Reported(
            "flickr",
            "bpr",
            "matrix factorisation, GRecX",
            "ids only, D = 64, no selection on validation",
            {"NDCG@5": 0.0977, "NDCG@10": 0.1072, "NDCG@15": 0.1159},
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
