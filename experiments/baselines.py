"""Every model on published sets of users, items and links, ids only, D = 64: the table of baselines of each.

    python -m experiments.baselines --data yelp flickr lastfm filmtrust     # all models, seeds 0-4
    python -m experiments.baselines --data lastfm filmtrust --only bpr lightgcn social_lightgcn
    python -m experiments.baselines --data yelp flickr --sweep depth        # K = 0..3; also dim

`baselines_yelp` and `baselines_flickr` are the tables of one set: what they have finished is read here, and the other
way round. The same command goes on with what was stopped. Settings were searched on Yelp's validation part; the other
sets have none of their own yet.
Expect on 2 cores: 3 to 5 hours for Yelp, 5 to 9 for Flickr, less for Last.fm and FilmTrust, a quarter and a sixth
of Yelp's pairs.
"""

import dataclasses
import sys

from experiments import baselines_flickr, baselines_yelp
from socialjax.data.sources import DataSettings
from socialjax.run.study.data_sets import main

STUDIES = {
    "yelp": baselines_yelp.STUDY,
    "flickr": baselines_flickr.STUDY,
    **{
        name: dataclasses.replace(
            baselines_yelp.STUDY,
            name=f"baselines_{name}",
            data=DataSettings(name=name),
            ids_only=f"socialjax train MODEL --data.name {name}",
        )
        for name in ("lastfm", "filmtrust")
    },
}
COMMAND = "python -m experiments.baselines"

if __name__ == "__main__":
    sys.exit(main(STUDIES, COMMAND, __doc__))
