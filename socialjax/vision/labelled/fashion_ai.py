"""FashionAI attributes of the Tianchi platform: eight dimensions, one of them labelled for each photo of clothes.

A folder with one or several csv files without a header, also in `Annotations`: image path, dimension such as
`skirt_length_labels`, and a code with one letter a class: y yes, m maybe, n no. Pictures lie where the paths say.
"""

from pathlib import Path

import numpy as np

from socialjax.data.schema import Provenance
from socialjax.formats.file_bytes import DataError
from socialjax.vision.labelled.label_tables import UNLABELLED, LabelledPictures, drawn_parts, finished, read_rows

# field -> (attribute, product group, classes in label order)
DIMENSIONS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "neck_design": (
        "high neck",
        "top",
        ("Invisible", "Turtle Neck", "Ruffle Semi-High Collar", "Low Turtle Neck", "Draped Collar"),
    ),
    "collar_design": ("collar", "top", ("Invisible", "Shirt Collar", "Peter Pan", "Puritan Collar", "Rib Collar")),
    "lapel_design": ("lapel", "top", ("Invisible", "Notched", "Collarless", "Shawl Collar", "Plus Size Shawl")),
    "neckline_design": (
        "neckline",
        "top",
        ("Invisible", "Strapless Neck", "Deep V Neckline", "Straight Neck", "V Neckline", "Square Neckline",
         "Off Shoulder", "Round Neckline", "Sweat Heart Neck", "One Shoulder Neckline"),
    ),
    "sleeve_length": (
        "sleeve length",
        "top",
        ("Invisible", "Sleeveless", "Cup Sleeves", "Short Sleeves", "Elbow Sleeves", "3/4 Sleeves", "Wrist Length",
         "Long Sleeves", "Extra Long Sleeves"),
    ),
    "coat_length": (
        "coat length",
        "top",
        ("Invisible", "High Waist Length", "Regular Length", "Long Length", "Micro Length", "Knee Length",
         "Midi Length", "Ankle & Floor Length"),
    ),
    "skirt_length": (
        "skirt length",
        "skirt",
        ("Invisible", "Short Length", "Knee Length", "Midi Length", "Ankle Length", "Floor Length"),
    ),
    "pant_length": (
        "trouser length",
        "trousers",
        ("Invisible", "Short Pant", "Mid Length", "3/4 Length", "Cropped Pant", "Full Length"),
    ),
}  # fmt: skip
SOURCE = "FashionAI attributes, tianchi.aliyun.com/competition/entrance/231649"
LICENCE = "by agreement with the Tianchi platform; research use"


def read(folder: Path, seed: int = 0) -> LabelledPictures:
    """Eight attributes, one label a picture. Rows whose code is `?` (the competition's questions) are left out.

    A picture labelled in several dimensions has a row for each. Parts depend on the path, a tenth each for validation
    and test, so that a picture is in one part only.

    Args:
        folder: of the csv files and pictures.
        seed: of the parts.

    Returns:
        The labelled pictures.

    Raises:
        DataError: with file and line: an unknown dimension, or a code of another length, with other letters, or without
            exactly one y.
    """
    folder = Path(folder)
    tables = sorted([*folder.glob("*.csv"), *folder.glob("Annotations/*.csv")])
    if not tables:
        raise DataError(
            f"{folder}: wanted csv files of labels here or in Annotations, got none; unpack the archive there"
        )
    numbers = {name: place for place, name in enumerate(DIMENSIONS)}
    files, labels, groups, checksums, questions = [], [], [], {}, 0
    for table in tables:
        rows = read_rows(table, ("image", "dimension", "code"), header=False)
        checksums[table.relative_to(folder).as_posix()] = rows.sha256
        for row, (image, dimension, code) in enumerate(zip(*rows.columns.values())):
            name = dimension.removesuffix("_labels")
            if name not in DIMENSIONS:
                raise rows.error(row, f"one of the dimensions {', '.join(DIMENSIONS)}", dimension, "correct the row")
            _, group, classes = DIMENSIONS[name]
            if code == "?":
                questions += 1
                continue
            if len(code) != len(classes) or set(code) - set("ynm") or code.count("y") != 1:
                wanted = f"{len(classes)} letters n, m or y, one of them y, for {name}"
                raise rows.error(row, wanted, code, "the class is unknown: correct the row or leave it out")
            files.append(image)
            groups.append(group)
            labels.append((numbers[name], code.index("y")))
    if not files:
        raise DataError(f"{folder}: wanted labels, got questions alone ({questions}); use the training tables")
    table = np.full((len(files), len(DIMENSIONS)), UNLABELLED, np.int16)
    column, chosen = np.array(labels).T
    table[np.arange(len(files)), column] = chosen
    repairs = (f"{questions} rows are questions without a label and are left out",) if questions else ()
    return finished(
        LabelledPictures(
            name="fashion_ai",
            names=tuple(name for name, _, _ in DIMENSIONS.values()),
            classes=tuple(classes for _, _, classes in DIMENSIONS.values()),
            labels=table,
            part=drawn_parts(files, seed),
            ids=np.array(files),
            provenance=Provenance("real", SOURCE, LICENCE, checksums, repairs),
            folder=str(folder),
            files=np.array(files),
            groups=np.array(groups),
        )
    )
