"""Tables of labelled pictures become labels, classes and parts; what is missing is stated, what is wrong has a line."""

import io
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from socialjax.data import validate
from socialjax.formats.file_bytes import DataError
from socialjax.formats.picture_files import PictureFiles
from socialjax.vision import taken
from socialjax.vision.labelled import fashion_ai, label_tables, labelled_pictures, ut_zap50k
from socialjax.vision.labelled.label_tables import coded, drawn_parts, read_rows


def jpeg(colour=(200, 30, 40)):
    stream = io.BytesIO()
    Image.new("RGB", (6, 8), colour).save(stream, "JPEG")
    return stream.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def named(pictures, row):
    """{attribute: class} of a row, only where it is labelled."""
    return {
        name: classes[label]
        for name, classes, label in zip(pictures.names, pictures.classes, pictures.labels[row])
        if label >= 0
    }


STYLES = (
    "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName,split\n"
    '7,Men,Apparel,Topwear,Tshirts,Blue,Summer,2011,Sports,"Jersey, round neck",train\n'
    "8,Women,Footwear,Shoes,Heels,,Fall,2012,,Pump,val\n"
    "9,Women,Footwear,Shoes,Flats,Red,,2012,Casual,Ballerina,test\n"
)


@pytest.fixture
def products(tmp_path):
    put(tmp_path / "styles.csv", STYLES)
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for name in (7, 8, 9):
            entry = tarfile.TarInfo(f"images/{name}.jpg")
            entry.size = len(jpeg())
            archive.addfile(entry, io.BytesIO(jpeg()))
    return tmp_path


def test_products_have_seven_labels_and_blanks_are_unlabelled(products):
    found = label_tables.read_fashion_products(products)
    assert found.names == label_tables.ATTRIBUTES and found.labels.dtype == np.int16
    assert named(found, 0) == dict(
        gender="Men", masterCategory="Apparel", subCategory="Topwear", articleType="Tshirts", baseColour="Blue",
        season="Summer", usage="Sports",
    )  # fmt: skip
    assert set(named(found, 1)) == set(found.names) - {"baseColour", "usage"} and "season" not in named(found, 2)
    assert found.part.tolist() == [0, 1, 2] and found.groups.tolist() == ["Apparel", "Footwear", "Footwear"]
    assert found.classes[3] == ("Flats", "Heels", "Tshirts") and found.provenance.repairs == ()
    assert PictureFiles(found.folder).read(found.files[2]).shape == (8, 6, 3)


def test_rows_without_a_picture_are_left_out_and_the_provenance_says_so(products):
    put(products / "styles.csv", STYLES + "10,Men,Apparel,Topwear,Shirts,Blue,Summer,2011,Sports,Shirt,test\n")
    found = label_tables.read_fashion_products(products)
    assert found.ids.tolist() == ["7", "8", "9"]
    assert found.provenance.repairs == ("1 rows without a picture are left out, such as images/10.jpg",)
    put(products / "styles.csv", STYLES.replace("\n7,", "\n70,").replace("\n8,", "\n80,").replace("\n9,", "\n90,"))
    with pytest.raises(DataError, match=r"wanted the pictures .* such as images/70\.jpg, got none of 3"):
        label_tables.read_fashion_products(products)


def test_broken_tables_are_errors_with_file_and_line(products, tmp_path):
    for content, message in (
        (STYLES.replace(",test", ",tset"), r"styles\.csv, line 4: wanted the part train, val or test, got 'tset'"),
        (STYLES.replace("baseColour,", "colour,"), "line 1: wanted a header with the columns id, .*baseColour"),
        (STYLES + "11,Men\n", "line 5: wanted 11 fields, got 2"),
        (STYLES.split("\n", 1)[0], "wanted rows, got none"),
        (STYLES.encode("utf-16"), "wanted UTF-8 text, got byte 0xff"),
        (STYLES.replace('neck"', "neck"), "line [0-9]: wanted fields parted by commas"),
    ):
        put(tmp_path / "styles.csv", content)
        with pytest.raises(DataError, match=message):
            label_tables.read_fashion_products(products)
    put(tmp_path / "styles.csv", STYLES)
    os.remove(tmp_path / "images.tar")
    with pytest.raises(DataError, match=r"wanted images.tar or a folder images, got neither"):
        label_tables.read_fashion_products(products)


@pytest.mark.skipif("SOCIALJAX_DATA" not in os.environ, reason="needs fashion_products below SOCIALJAX_DATA")
def test_the_real_products_have_the_counts_of_their_description():
    if not os.path.isdir(os.path.join(os.environ["SOCIALJAX_DATA"], "fashion_products")):
        pytest.skip("SOCIALJAX_DATA has no fashion_products")
    found = labelled_pictures("fashion_products")
    assert [len(found.rows(part)) for part in ("train", "validation", "test")] == [6479, 805, 806]
    assert [len(classes) for classes in found.classes] == [5, 3, 17, 39, 46, 4, 7]
    assert (found.labels < 0).sum(axis=0).tolist() == [0, 0, 0, 0, 3, 4, 5] and found.provenance.repairs == ()


ZAPPOS = (
    "CID,Category,SubCategory,HeelHeight,Insole,Closure,Gender,Material,ToeStyle\n"
    "100627-72,Shoes,Oxfords,Under 1in,,Lace up,Men,Leather,Round Toe\n"
    '100657-72,Boots,Ankle,"High heel, 3in - 3 3/4in",Padded,Buckle;Zipper,Women,Suede,Pointed Toe;Closed Toe\n'
    "100658-1,Boots,Knee High,Flat,,,Women,,\n"
)


@pytest.fixture
def zappos(tmp_path):
    put(tmp_path / "meta-data.csv", ZAPPOS)
    for name in (
        "Shoes/Oxfords/Bostonian/100627.72",
        "Boots/Ankle/Other Brand/100657.72",
        "Boots/Knee High/B/100658.1",
    ):
        put(tmp_path / "ut-zap50k-images" / f"{name}.jpg", jpeg())
    return tmp_path


def test_shoes_have_four_attributes_and_several_values_are_no_label(zappos):
    found = ut_zap50k.read(zappos)
    assert named(found, 0) == {"heel height": "Under 1in", "closure": "Lace up", "toe style": "Round Toe"}
    assert named(found, 1) == {"heel height": "High heel, 3in - 3 3/4in", "boot height": "Ankle"}
    assert named(found, 2) == {"heel height": "Flat", "boot height": "Knee High"}
    assert found.files[1] == "Boots/Ankle/Other Brand/100657.72.jpg" and found.groups.tolist() == [
        "shoe",
        "boot",
        "boot",
    ]
    assert found.provenance.repairs == (
        "1 fields of closure with several values are unlabelled",
        "1 fields of toe style with several values are unlabelled",
    )
    assert PictureFiles(found.folder).missing(found.files.tolist()) == []


def test_the_first_of_several_values_counts_where_that_is_asked_for(zappos):
    found = ut_zap50k.read(zappos, several="first")
    assert named(found, 1) == {
        "heel height": "High heel, 3in - 3 3/4in",
        "boot height": "Ankle",
        "closure": "Buckle",
        "toe style": "Pointed Toe",
    }
    assert found.provenance.repairs[0] == "1 fields of closure with several values count as their first"
    with pytest.raises(ValueError, match="unlabelled or first, got 'all'"):
        ut_zap50k.read(zappos, several="all")


def test_shoes_without_picture_or_table_are_stated_or_refused(zappos):
    os.remove(zappos / "ut-zap50k-images/Boots/Knee High/B/100658.1.jpg")
    found = ut_zap50k.read(zappos)
    assert len(found) == 2 and "1 rows without a picture are left out, such as 100658-1.jpg" in found.provenance.repairs
    os.remove(zappos / "meta-data.csv")
    with pytest.raises(DataError, match=r"wanted one of meta-data\.csv, .* got no table"):
        ut_zap50k.read(zappos)


def clothes(folder, *rows, table="Annotations/label.csv"):
    put(folder / table, "\n".join(rows) + "\n")
    for row in rows:
        put(folder / row.split(",")[0], jpeg())
    return folder


def test_clothes_have_the_class_whose_letter_is_y(tmp_path):
    clothes(
        tmp_path,
        "Images/skirt_length_labels/a.jpg,skirt_length_labels,nnynnn",
        "Images/neck_design_labels/b.jpg,neck_design_labels,mnnny",
        "Images/pant_length_labels/c.jpg,pant_length_labels,?",
    )
    clothes(tmp_path, "Images/coat_length_labels/d.jpg,coat_length_labels,ynnnnnnn", table="more.csv")
    found = fashion_ai.read(tmp_path)
    assert [named(found, row) for row in range(3)] == [
        {"skirt length": "Knee Length"}, {"high neck": "Draped Collar"}, {"coat length": "Invisible"}
    ]  # fmt: skip
    assert found.groups.tolist() == ["skirt", "top", "top"]
    assert [len(classes) for classes in found.classes] == [5, 5, 5, 10, 9, 8, 6, 6]
    assert found.provenance.repairs == ("1 rows are questions without a label and are left out",)
    assert sorted(found.provenance.files) == ["Annotations/label.csv", "more.csv"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("x.jpg,skirt_length_labels,nnynn", "wanted 6 letters n, m or y, one of them y, for skirt_length, got 'nnynn'"),
        ("x.jpg,skirt_length_labels,nnnnnn", "one of them y, for skirt_length, got 'nnnnnn'; the class is unknown"),
        ("x.jpg,skirt_length_labels,nyynnn", "got 'nyynnn'"),
        ("x.jpg,skirt_length_labels,nnxnny", "got 'nnxnny'"),
        ("x.jpg,hat_height_labels,yn", "wanted one of the dimensions neck_design, .* got 'hat_height_labels'"),
        ("x.jpg,skirt_length_labels", "wanted 3 fields, got 2"),
    ],
)
def test_an_unknown_class_code_is_an_error_with_file_and_line(row, message, tmp_path):
    clothes(tmp_path, "good.jpg,neck_design_labels,ynnnn", row)
    with pytest.raises(DataError, match=rf"label\.csv, line 2: .*{message}"):
        fashion_ai.read(tmp_path)


def test_questions_alone_and_no_tables_are_refused(tmp_path):
    with pytest.raises(DataError, match="wanted csv files of labels"):
        fashion_ai.read(tmp_path)
    clothes(tmp_path, "a.jpg,neck_design_labels,?")
    with pytest.raises(DataError, match=r"questions alone \(1\)"):
        fashion_ai.read(tmp_path)


OWN = "image,id,group,neckline,sleeve\na.jpg,A,top,V,short\nb.jpg,B,top,,long\nc.jpg,C,bag,,\n"


@pytest.fixture
def own(tmp_path):
    put(tmp_path / "pictures.csv", OWN)
    for name in "abc":
        put(tmp_path / f"{name}.jpg", jpeg())
    return tmp_path


def test_ones_own_table_is_read_and_a_group_without_attributes_is_stated(own):
    found = label_tables.read(own, "mine")
    assert [named(found, row) for row in range(3)] == [{"neckline": "V", "sleeve": "short"}, {"sleeve": "long"}, {}]
    assert found.name == "mine" and found.provenance.repairs == ("group 'bag' has no labelled attribute: 1 pictures",)
    assert found.groups.tolist() == ["top", "top", "bag"]
    put(
        own / "pictures.csv",
        OWN.replace("id,", "split,").replace(",A,", ",val,").replace(",B,", ",test,").replace(",C,", ",train,"),
    )
    again = label_tables.read(own)
    assert again.part.tolist() == [1, 2, 0] and again.ids.tolist() == ["a.jpg", "b.jpg", "c.jpg"]


def test_ones_own_table_that_cannot_be_meant_is_refused(own):
    for content, message in (
        (OWN.replace("b.jpg,B", "a.jpg,B"), r"pictures\.csv, line 3: wanted images that are not blank and stand once"),
        (OWN.replace("b.jpg,B", "b.jpg,A"), "line 3: wanted ids that are not blank and stand once, got 'A'"),
        ("image,id\na.jpg,A\n", "wanted a column for each attribute"),
        ("image,split,hem\na.jpg,training,long\n", "wanted the part train, val or test, got 'training'"),
        ("image,hem\n../secret.jpg,long\n", "a file below this folder"),
    ):
        put(own / "pictures.csv", content)
        with pytest.raises(DataError, match=message):
            label_tables.read(own)


def test_who_took_which_is_joined_to_the_pictures(own):
    put(own / "interactions.csv", "user,item\n" + "".join(f"u{u},{i}\n" for u in range(3) for i in "ABZ") + "u0,C\n")
    pictures = label_tables.read(own)
    data = taken.of_pictures(own, pictures, ratios=(0.0, 0.34))
    assert data.item_names.tolist() == ["A", "B", "C", "Z"] and data.num_users == 3
    assert data.item_pictures.tolist() == ["a.jpg", "b.jpg", "c.jpg", ""] and data.item_groups.tolist()[2:] == [
        "bag",
        "",
    ]
    pairs = {
        (str(data.user_names[u]), str(data.item_names[i]))
        for part in data.parts().values()
        for u, i in zip(part.user, part.item)
    }
    assert pairs == {(f"u{u}", i) for u in range(3) for i in "ABZ"} | {("u0", "C")}
    assert len(data.test) == 3 and any("1 items have no picture, such as Z" in said for said in data.provenance.repairs)
    validate.check(data)
    put(own / "interactions.csv", "user,item\nu0,Y\n")
    with pytest.raises(DataError, match="items called like the pictures, such as 'A', got 'Y'"):
        taken.of_pictures(own, pictures)


def test_sets_are_found_by_name(own, monkeypatch):
    monkeypatch.setenv("SOCIALJAX_DATA", str(own.parent))
    assert labelled_pictures(own.name).name == own.name and labelled_pictures("mine", own).name == "mine"
    with pytest.raises(DataError, match=r"wanted a folder with nothing, got .*nothing; name the folder"):
        labelled_pictures("nothing")
    monkeypatch.delenv("SOCIALJAX_DATA")
    with pytest.raises(DataError, match="SOCIALJAX_DATA is not set"):
        labelled_pictures("fashion_products")


def test_parts_are_drawn_by_id_alone():
    ids = [f"picture {n}" for n in range(4000)]
    parts = drawn_parts(ids)
    np.testing.assert_array_equal(drawn_parts(ids[::-1])[::-1], parts)
    assert (drawn_parts(ids, seed=1) != parts).any()
    np.testing.assert_allclose(np.bincount(parts) / 4000, [0.8, 0.1, 0.1], atol=0.02)


def test_classes_are_in_the_order_of_their_names():
    codes, classes = coded(["V", "", "round", "V"])
    assert codes.tolist() == [0, -1, 1, 0] and classes == ("V", "round") and codes.dtype == np.int16


def test_a_byte_order_mark_and_blanks_around_fields_are_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufeffimage, hem\r\na.jpg , long\r\n".encode())
    assert read_rows(tmp_path / "t.csv", ("image",)).columns == {"image": ["a.jpg"], "hem": ["long"]}
