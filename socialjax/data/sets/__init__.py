"""The published sets, by name: a new one is a module of this folder and a line here."""

from socialjax.data.sets import filmtrust, flickr, hasc_fs, lastfm, tiktok, yelp, yelp_hin
from socialjax.data.sets.published import Published
from socialjax.data.standin_shapes import Shape

PUBLISHED: dict[str, Published] = {
    each.name: each for each in (yelp.SET, flickr.SET, lastfm.SET, filmtrust.SET, yelp_hin.SET, hasc_fs.SET, tiktok.SET)
}
SHAPES: dict[str, Shape] = {name: each.shape for name, each in PUBLISHED.items() if each.shape is not None}
