"""The published sets: which files they are made of, where those are, and what is in them."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from socialjax.data.formats.file_bytes import FileBytes
from socialjax.data.schema import Dataset
from socialjax.data.sets import diffnet, filmtrust, hasc, lastfm, tiktok, yelp_hin

GITHUB = "https://raw.githubusercontent.com"


@dataclasses.dataclass(frozen=True)
class RemoteFile:
    """One published file and how it is recognised: `text` (sha256 after CRLF becomes LF) or `blob` (git blob id).

    Mirrors of the same text differ in line ends, so the checksum of a text is that of its lines.
    """

    name: str
    text: str | None = None
    blob: str | None = None

    @property
    def wanted(self) -> str:
        """The checksum of the published content."""
        return self.blob or self.text or ""

    def id_of(self, content: bytes) -> str:
        """The checksum by which this file is known, of another content."""
        if self.blob is not None:
            blob = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
            blob.update(content)
            return blob.hexdigest()
        return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()

    def is_content_of(self, file: FileBytes) -> bool:
        """Whether the file holds the published content; its own checksum tells that in most cases without another."""
        return file.sha256 == self.text or self.id_of(file.data) == self.wanted


@dataclasses.dataclass(frozen=True)
class Published:
    """A published set. `addresses` are folders, tried in turn; the checksums decide, not the address.

    optional: features that are published beside the set and are taken only when they are asked for; optional_at: where
    a person finds them. `read` never reads them.
    """

    name: str
    about: str
    addresses: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    read: Callable[[Path, int], Dataset]  # folder, seed of the validation part where the files have none
    counts: Mapping[str, int]
    licence: str
    optional: tuple[RemoteFile, ...] = ()
    optional_at: str = ""

    def missing(self, folder: Path) -> list[str]:
        """Names of the required files that `folder` lacks; `<name>.gz` counts."""
        here = lambda name: (folder / name).is_file() or (folder / f"{name}.gz").is_file()  # noqa: E731
        return [file.name for file in self.files if not here(file.name)]


def _github(repository: str, folder: str, *commits: str) -> tuple[str, ...]:
    return tuple(f"{GITHUB}/{repository}/{commit}/{folder}" for commit in commits)


_SETS = (
    Published(
        name="yelp",
        about="DiffNet's Yelp: businesses rated, directed user links (SIGIR 2019)",
        addresses=_github("PeiJieSun/diffnet", "diffnet-tensorflow-v1-python3/data/yelp", "cad45d5", "master"),
        files=(
            RemoteFile("yelp.train.rating", "7870b0889831108633e1ca3bbdaf8c56ebe7b68f282ebc0030f05e49eca1b478"),
            RemoteFile("yelp.val.rating", "dd2b45c434af3e10ffa26974507f6365b50ab55be163be4dd840da3df8e855eb"),
            RemoteFile("yelp.test.rating", "794644f954a5afd53e719bc42d5d2b08a26ef6f93575c1eceb47b2f482154385"),
            RemoteFile("yelp.links", "c15e94ee0dd50899eff283d2d08f6b9701abad888750cffcd17a0e142edf4613"),
        ),
        optional=(
            RemoteFile("user_vector.npy", blob="85009b43aa2c5f6d6cb11c6c53665ad299781620"),
            RemoteFile("item_vector.npy", blob="374f0e2ff7a64a068540e73d5d64ebd41af5cc8e"),
        ),
        optional_at="github.com/PeiJieSun/diffnet, folder diffnet-tensorflow-v1-python3/data/yelp",
        read=lambda folder, seed: diffnet.read(folder, "yelp", diffnet.PUBLISHED["yelp"], features=False),
        counts=diffnet.PUBLISHED["yelp"],
        licence=diffnet.LICENCES["yelp"],
    ),
    Published(
        name="flickr",
        about="DiffNet's Flickr: favourite images, directed follows (TKDE 2019, SIGIR 2019)",
        addresses=_github(
            "yanzhenxing123/DiffNet-SP", "data/flickr", "42787c543971e852c24398555eecc4aaa52026ad", "main", "master"
        ),
        files=(
            RemoteFile("flickr.train.rating", "506fec4d851f7cfe9c29c4e69268b0209663e0a6239b7669203e035a24855316"),
            RemoteFile("flickr.val.rating", "cb2e8fb82e1e5685b6eb8d63a0e95f5c3669391dd69777c2403ed4e8a2ed78d0"),
            RemoteFile("flickr.test.rating", "19bec446356247792554269cf603abc3b9a304cfb42ac774313f39b2d10a6303"),
            RemoteFile("flickr.links", "8e38640aa6774576f841041764a577d2b497a0357074674039cbac4f6184c7a3"),
        ),
        read=lambda folder, seed: diffnet.read(folder, "flickr", diffnet.PUBLISHED["flickr"], features=False),
        counts=diffnet.PUBLISHED["flickr"],
        licence=diffnet.LICENCES["flickr"],
    ),
    Published(
        name="lastfm",
        about="Last.fm artists listened to, mutual friends (HetRec 2011, split of LightGCN-PyTorch)",
        addresses=_github(
            "gusye1234/LightGCN-PyTorch", "data/lastfm", "ef7aae37fc51973feabfc7e534720ea51f9eedf6", "master"
        ),
        files=(
            RemoteFile("data1.txt", "15d45d21149cf0340a4f901fceae31bae313aa2cd1f346a4c728e55685289432"),
            RemoteFile("test1.txt", "0e49491e70101693871a1890ad1d68f75a45f05067516a2ac24b8e464d7b4195"),
            RemoteFile("trustnetwork.txt", "eb2f3eb5dbee61161923d0231874cce574c33cea8b9f331d912b1642a1cd29ba"),
        ),
        read=lastfm.read,
        counts=lastfm.PUBLISHED,
        licence=lastfm.LICENCE,
    ),
    Published(
        name="filmtrust",
        about="FilmTrust: films rated 0.5 to 4, directed trust (IJCAI 2013, split of QRec)",
        addresses=_github("Coder-Yu/QRec", "dataset/FilmTrust", "2787cdbf536af7e08376c1a93daa0946dec34077", "master"),
        files=(
            RemoteFile("trainset.txt", "5dde957e2666697ab43fcede5067f58cd1e794450cd147e2399d9d68f07d1d5c"),
            RemoteFile("testset.txt", "65e343ac76f694d48863770b554e12fa3fdf0de431d75b35377c082bb3ef5bbb"),
            RemoteFile("trust.txt", "64573a033add72b988a0fb140fdbc0ad3464cb9821f940007aff6fda44b09603"),
        ),
        read=filmtrust.read,
        counts=filmtrust.PUBLISHED,
        licence=filmtrust.LICENCE,
    ),
    Published(
        name="yelp_hin",
        about="Another sample of Yelp with categories, cities and mutual friends (HERec, TKDE 2018)",
        addresses=_github("librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding", "Yelp", "master"),
        files=(
            RemoteFile("user_business.dat", "d57853e95c3f49f0060f31ee9365ab3fffe1010999c76863c3cd9628b91e994d"),
            RemoteFile("user_user.dat", "d360f88f66b7ba9a1fd460b8c414dba1bec6489773283083a614a77925bcaaed"),
            RemoteFile("business_category.dat", "d3c1499e406c0a842b3c08c478ffe7bf26a8758b630e0b056d0f4bcf18c01a5b"),
            RemoteFile("business_city.dat", "09c009dfa16709aff52de4831b9cb30f45a16dcfce1db06858d54af6ef5f7d1e"),
        ),
        read=yelp_hin.read,
        counts=yelp_hin.PUBLISHED,
        licence=yelp_hin.LICENCE,
    ),
    Published(
        name="hasc_fs",
        about="HASC's small set of Flickr: favourites, owners of images, directed follows (TKDE 2019)",
        addresses=_github("newlei/HASC", "data", "master", "main"),
        files=(
            RemoteFile("mymodel_train.npy", blob="ffbd06dc1b06888d9d68b9dba773cf5981bcd16b"),
            RemoteFile("mymodel_val.npy", blob="d0b43ff79223560e8d3a4b7ad277bb2465dad17e"),
            RemoteFile("mymodel_test.npy", blob="f1b5f0952d87e29937b02f8c0068a98b9f083c3f"),
            RemoteFile("ups_user.npy", blob="28ba671b294eecda3eb1b561d3285d877fac703a"),
            RemoteFile("user_ups.npy", blob="fcf9b75f938b215326f718675fd737d7564e5611"),
            RemoteFile("user_follow.npy", blob="a172c97908d94d396128afcdad7b4ad17f848b33"),
        ),
        read=hasc.read,
        counts=hasc.PUBLISHED,
        licence=hasc.LICENCE,
    ),
    Published(
        name="tiktok",
        about="Short videos with visual and acoustic features (DiffMM, ACM MM 2024); its splits as text",
        addresses=_github("HKUDS/DiffMM", "Datasets/tiktok", "main"),
        files=(
            RemoteFile("train.txt", "f09aa464293f377fe635b1d02c6a8ed0a56d4e2ba0806723e63525d44639d6ae"),
            RemoteFile("val.txt", "36dfc9c8d82315c63ce754a32321f8957ec2d6a62996df9c9ad605281103db83"),
            RemoteFile("test.txt", "eed1ebd20b52d70ef708ae9a887c625c58df1727ff78be0b870fdb45993553f2"),
            RemoteFile("image_feat.npy", blob="27ac000dc2feaefdfa06d238d588793dd8ea80ba"),
            RemoteFile("audio_feat.npy", blob="1d0671948dfc54756f5f20a0dbc3026e40f74452"),
        ),
        read=tiktok.read,
        counts=tiktok.PUBLISHED,
        licence=tiktok.LICENCE,
    ),
)
PUBLISHED: dict[str, Published] = {entry.name: entry for entry in _SETS}
