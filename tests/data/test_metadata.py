"""Labels, attributes and captions from metadata files: the right row for every image, in folders and archives alike."""

import csv
import io
import json
from dataclasses import replace
from itertools import product
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulacra.core.batch import Attribute
from simulacra.core.errors import DataError, UsageError
from simulacra.data.check import check
from simulacra.data.formats.metadata import MOST_FLOATS, attributes_of, ordered_values, parse
from simulacra.data.formats.pixels import decode
from simulacra.data.load import from_array, load, training_batches
from simulacra.data.settings import DataConfig
from simulacra.interfaces.cli import main
from simulacra.runs import provenance, run

SHAPES, HUES = ("circle", "square"), ("2", "10", "1.5")


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def comma_separated(rows, bom=False):
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode("utf-8-sig" if bom else "utf-8")


FORMATS = {"metadata.jsonl": jsonl, "metadata.csv": comma_separated}


@pytest.fixture
def figures(make_picture):
    """Twenty images by path, and their rows."""
    kinds = list(product(SHAPES, HUES))
    rows = [
        {
            "file_name": f"part{at % 2}/{at:02d}.png",
            "shape": kinds[at % 6][0],
            "hue": kinds[at % 6][1],
            "text": f"Nr. {at},\n«{at}»",
        }
        for at in range(20)
    ]
    return {str(row["file_name"]): make_picture(at) for at, row in enumerate(rows)}, rows


def read(path, **settings):
    return load(DataConfig(data=str(path), **settings))


def by_pixels(files, rows, column):
    """Return the value of a column by the pixels of the image."""
    return {decode(files[row["file_name"]]).tobytes(): row[column] for row in rows}


def assert_right(data, files, rows, column, number=None):
    """Check that every image of a data set has its row's value of a column."""
    known = by_pixels(files, rows, column)
    names = data.spec.classes if number is None else data.spec.attributes[number].values
    for split in data.splits:
        labels = split.labels if number is None else split.labels[:, number]
        assert [names[label] for label in labels] == [known[image.tobytes()] for image in split.images]


@pytest.mark.parametrize("name", FORMATS)
def test_a_column_becomes_the_classes(name, make_folder, figures):
    files, rows = figures
    data = read(make_folder({**files, name: FORMATS[name](rows)}), label_column="shape")
    assert data.spec.classes == SHAPES
    assert data.spec.attributes == ()
    assert sum(map(len, data.splits)) == 20
    assert data.train.labels.dtype == np.int64
    assert_right(data, files, rows, "shape")
    assert data.skipped.total == 0
    assert data.notes == ()


@pytest.mark.parametrize("kind", ["folder", "a.tar", "a.tar.gz", "a.zip"])
def test_several_columns_become_attributes(kind, make_folder, make_archive, figures):
    files, rows = figures
    held = {**{f"set/{name}": content for name, content in files.items()}, "set/metadata.jsonl": jsonl(rows)}
    path = make_folder(held) if kind == "folder" else make_archive(kind)(held, kind)
    data = read(path, label_column=" hue, shape")
    assert data.spec.attributes == (Attribute("hue", ("1.5", "2", "10")), Attribute("shape", SHAPES))
    assert data.spec.classes == ("1.5", "2", "10")
    assert data.spec.label_sizes == (3, 2)
    assert data.train.labels.shape == (len(data.train), 2)
    assert_right(data, files, rows, "hue", 0)
    assert_right(data, files, rows, "shape", 1)
    batch = training_batches(data, 4, seed=0).batch(0)
    labels = batch.condition.labels
    assert labels is not None
    assert batch.labels is not None
    assert labels.shape == (4, 2)
    assert batch.labels.tolist() == labels[:, 0].tolist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@given(st.permutations(range(20)), st.permutations(range(20)), st.sampled_from(sorted(FORMATS)))
def test_the_label_of_every_image_is_its_rows_in_any_order(make_tar, figures, order, rows_order, name):
    files, rows = figures
    names = list(files)
    held = {names[at]: files[names[at]] for at in order}
    path = make_tar({**held, name: FORMATS[name]([rows[at] for at in rows_order])})
    data = read(path, label_column="shape,hue")
    assert_right(data, files, rows, "shape", 0)
    assert_right(data, files, rows, "hue", 1)
    known = by_pixels(files, rows, "text")
    for split in data.splits:
        assert split.captions == tuple(known[image.tobytes()] for image in split.images)


@pytest.mark.parametrize("layout", ["one file", "a file for each split"])
def test_the_splits_train_and_test_have_one_file_or_one_each(layout, make_folder, make_zip, figures):
    files, rows = figures
    sides = {row["file_name"]: "test" if at % 4 == 0 else "train" for at, row in enumerate(rows)}
    held = {f"{sides[name]}/{name}": content for name, content in files.items()}
    if layout == "one file":
        moved = [{**row, "file_name": f"{sides[row['file_name']]}/{row['file_name']}"} for row in rows]
        held["metadata.csv"] = comma_separated(moved)
    else:
        for side in ("train", "test"):
            held[f"{side}/metadata.jsonl"] = jsonl([row for row in rows if sides[row["file_name"]] == side])
    for path in (make_folder(held), make_zip(held)):
        data = read(path, label_column="shape")
        assert len(data.test) == 5
        assert_right(data, files, rows, "shape")


def test_a_pair_of_archives_has_a_file_in_each(make_tar, tmp_path, figures):
    files, rows = figures
    for side, part in (("train", rows[5:]), ("test", rows[:5])):
        some = {row["file_name"]: files[row["file_name"]] for row in part}
        make_tar({**some, "metadata.jsonl": jsonl(part)}, f"pair/{side}.tar")
    data = read(tmp_path / "pair", label_column="shape")
    assert len(data.test) == 5
    assert_right(data, files, rows, "shape")
    apart = load(DataConfig("folder", str(tmp_path / "pair/train.tar"), str(tmp_path / "pair/test.tar"), label_column="shape"))
    assert apart.digest == data.digest


def test_folders_stay_the_classes_without_a_label_column(make_folder, figures):
    files, rows = figures
    plain = read(make_folder(files, "plain"))
    data = read(make_folder({**files, "metadata.csv": comma_separated(rows)}))
    assert replace(data.spec, vocabulary=None) == plain.spec
    assert all(np.array_equal(one.labels, other.labels) for one, other in zip(data.splits, plain.splits, strict=True))
    assert all(word in data.notes[0] for word in ("metadata.csv", "shape, hue, text", "--label-column"))
    assert plain.train.captions is None
    assert_right_captions(data, files, rows)


def assert_right_captions(data, files, rows):
    known = by_pixels(files, rows, "text")
    for split in data.splits:
        assert split.captions == tuple(known[image.tobytes()] for image in split.images)


def test_captions_follow_slices_limits_and_the_cache(make_folder, figures):
    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    data = read(folder)
    assert data.train[2:5].captions == data.train.captions[2:5]
    assert data.train[np.array([3, 0])].captions == (data.train.captions[3], data.train.captions[0])
    assert read(folder, limit=3).train.captions == data.train.captions[:3]
    assert_right_captions(read(folder, size=4, label_column="shape"), *_resized(files, rows))


def _resized(files, rows):
    from io import BytesIO

    from PIL import Image

    from simulacra.data.formats.fitting import fit

    small = {}
    for name, content in files.items():
        file = BytesIO()
        Image.fromarray(fit(decode(content), (4, 4), 0)).save(file, "PNG")
        small[name] = file.getvalue()
    return small, rows


def test_images_without_a_caption_are_counted(make_folder, figures):
    files, rows = figures
    some = [{key: value for key, value in row.items() if key != "text" or at > 2} for at, row in enumerate(rows[:-1])]
    data = read(make_folder({**files, "metadata.jsonl": jsonl(some)}))
    assert any("4 of 20" in note for note in data.notes)
    assert sum(caption == "" for split in data.splits for caption in split.captions) == 4


def test_two_columns_never_share_a_cache_and_their_digests_differ(make_folder, figures):
    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    choices = ("", "shape", "hue", "shape,hue", "hue,shape")
    found = {choice: read(folder, label_column=choice) for choice in choices}
    assert len({data.digest for data in found.values()}) == len(choices)
    assert [len(data.spec.attributes) for data in found.values()] == [0, 0, 0, 2, 2]
    again = read(folder, label_column="hue")  # from the cache
    assert (again.digest, again.spec) == (found["hue"].digest, found["hue"].spec)
    assert np.array_equal(again.train.labels, found["hue"].train.labels)


def test_a_changed_label_or_caption_changes_the_digest(make_folder, figures):
    files, rows = figures
    first = read(make_folder({**files, "metadata.jsonl": jsonl(rows)}, "a"), label_column="shape").digest
    turned = [{**rows[0], "shape": "square"}, *rows[1:]]
    retold = [{**rows[0], "text": "other"}, *rows[1:]]
    others = [
        read(make_folder({**files, "metadata.jsonl": jsonl(some)}, name), label_column="shape").digest
        for name, some in (("b", turned), ("c", retold))
    ]
    assert len({first, *others}) == 3
    csv_file = make_folder({**files, "metadata.csv": comma_separated(rows, bom=True)}, "d")
    assert read(csv_file, label_column="shape").digest == first


def test_numbers_and_truth_values_are_labels(make_folder, figures):
    files, rows = figures
    typed = [{**row, "count": at % 3 + 9, "left": at % 2 == 0} for at, row in enumerate(rows)]
    data = read(make_folder({**files, "metadata.jsonl": jsonl(typed)}), label_column="count,left")
    assert data.spec.attributes == (Attribute("count", ("9", "10", "11")), Attribute("left", ("false", "true")))


def test_paths_are_compared_in_normal_form(make_folder, figures):
    files, rows = figures
    spelled = [
        {**row, "file_name": row["file_name"].replace("part0/", ".\\part0//").replace("part1/", "part0/../part1/")}
        for row in rows
    ]
    data = read(make_folder({**files, "metadata.jsonl": jsonl(spelled)}), label_column="shape")
    assert_right(data, files, rows, "shape")


def test_accents_are_compared_in_one_form(make_folder, figures):
    files, rows = figures
    files = {f"für/{name}": content for name, content in files.items()}
    rows = [{**row, "file_name": f"für/{row['file_name']}"} for row in rows]
    stored = {normalize("NFD", name): content for name, content in files.items()}  # as macOS does
    assert set(stored).isdisjoint(files)
    assert_right(read(make_folder({**stored, "metadata.jsonl": jsonl(rows)}), label_column="shape"), files, rows, "shape")


def test_values_that_only_damaged_images_have_are_no_classes(make_folder, figures):
    files, rows = figures
    rows = [*rows, {**rows[0], "file_name": "bad.png", "shape": "hexagon"}]
    data = read(make_folder({**files, "bad.png": b"\x89PNG", "metadata.jsonl": jsonl(rows)}), label_column="shape")
    assert data.spec.classes == SHAPES
    assert data.skipped.total == 1


def changed(rows, at, **values):
    return [*rows[:at], {**rows[at], **values}, *rows[at + 1 :]]


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


BAD = {
    "unknown column": (
        lambda rows: {"metadata.csv": comma_separated(rows)},
        "shpe",
        UsageError,
        ("shpe", "'shape'", "metadata.csv"),
    ),
    "no row": (
        lambda rows: {"metadata.csv": comma_separated(rows[:-3])},
        "shape",
        DataError,
        ("3 of 20", "part0/18.png", "metadata.csv"),
    ),
    "second row": (
        lambda rows: {"metadata.jsonl": jsonl([*rows, rows[4]])},
        "shape",
        DataError,
        ("line 21", "line 5", "part0/04.png"),
    ),
    "two files for one image": (
        lambda rows: {"metadata.jsonl": jsonl(rows), "metadata.csv": comma_separated(rows)},
        "shape",
        DataError,
        ("metadata.jsonl", "metadata.csv", "line 1"),
    ),
    "no file_name in CSV": (
        lambda rows: {"metadata.csv": comma_separated([without(row, "file_name") for row in rows])},
        "shape",
        DataError,
        ("metadata.csv", "'file_name'", "'hue'"),
    ),
    "no file_name in JSON": (
        lambda rows: {"metadata.jsonl": jsonl([without(row, "file_name") for row in rows])},
        "shape",
        DataError,
        ("metadata.jsonl", "'file_name'", "'hue'"),
    ),
    "a row without file_name": (
        lambda rows: {"metadata.jsonl": jsonl(changed(rows, 6, file_name=None))},
        "shape",
        DataError,
        ("metadata.jsonl", "line 7", "None"),
    ),
    "malformed JSON": (
        lambda rows: {"metadata.jsonl": jsonl(rows[:2]) + b"\n{'shape': 1}\n" + jsonl(rows[2:])},
        "shape",
        DataError,
        ("metadata.jsonl", "line 4"),
    ),
    "JSON that is no object": (
        lambda rows: {"metadata.jsonl": jsonl(rows) + b"[1]\n"},
        "shape",
        DataError,
        ("metadata.jsonl", "line 21", "list"),
    ),
    "an empty file": (lambda rows: {"metadata.jsonl": b""}, "shape", DataError, ("metadata.jsonl", "'file_name'")),
    "an empty CSV file": (lambda rows: {"metadata.csv": b"\n"}, "shape", DataError, ("metadata.csv", "'file_name'")),
    "malformed CSV": (
        lambda rows: {"metadata.csv": b'file_name,shape\na.png,"x\n'},
        "shape",
        DataError,
        ("metadata.csv", "line"),
    ),
    "a row of other length": (
        lambda rows: {"metadata.csv": b"file_name,shape\na.png,x\nb.png\n"},
        "shape",
        DataError,
        ("metadata.csv", "line 3", "1 values for 2 columns"),
    ),
    "two columns of one name": (
        lambda rows: {"metadata.csv": b"file_name,shape,shape\na.png,x,y\n"},
        "shape",
        DataError,
        ("metadata.csv", "line 1", "'shape'"),
    ),
    "other encoding": (
        lambda rows: {"metadata.csv": "file_name,shape\na.png,x\nb.png,café\n".encode("latin-1")},
        "shape",
        DataError,
        ("metadata.csv", "line 3", "UTF-8"),
    ),
    "a list": (
        lambda rows: {"metadata.jsonl": jsonl(changed(rows, 2, shape=["circle", "square"]))},
        "shape",
        DataError,
        ("metadata.jsonl", "line 3", "'shape'", "list"),
    ),
    "an object": (
        lambda rows: {"metadata.jsonl": jsonl(changed(rows, 2, shape={"kind": "circle"}))},
        "shape",
        DataError,
        ("line 3", "'shape'", "object"),
    ),
    "a null": (lambda rows: {"metadata.jsonl": jsonl(changed(rows, 2, hue=None))}, "shape,hue", DataError, ("line 3", "'hue'")),
    "a NaN": (lambda rows: {"metadata.jsonl": jsonl(changed(rows, 2, hue=float("nan")))}, "hue", DataError, ("line 3", "'hue'")),
    "a missing value": (
        lambda rows: {"metadata.jsonl": jsonl([*rows[:2], without(rows[2], "hue"), *rows[3:]])},
        "hue",
        DataError,
        ("line 3", "'hue'"),
    ),
    "an empty cell": (
        lambda rows: {
            "metadata.csv": comma_separated(
                [{**without(row, "text"), "hue": "" if at == 2 else "1"} for at, row in enumerate(rows)]
            )
        },
        "hue",
        DataError,
        ("line 4", "'hue'"),
    ),
    "no metadata": (lambda rows: {}, "shape", UsageError, ("metadata.jsonl", "metadata.csv", "--label-column")),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("kind", ["folder", "a.zip"])
def test_metadata_that_give_no_labels_are_refused_with_file_line_and_remedy(case, kind, make_folder, make_zip, figures):
    files, rows = figures
    make, column, error, held = BAD[case]
    content = {**files, **make(rows)}
    path = make_folder(content) if kind == "folder" else make_zip(content, kind)
    with pytest.raises(error) as raised:
        read(path, label_column=column)
    assert all(text in str(raised.value) for text in held), str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", ["malformed JSON", "no file_name in CSV", "second row", "other encoding"])
def test_without_a_label_column_unreadable_metadata_are_a_note(case, make_folder, figures):
    files, rows = figures
    data = read(make_folder({**files, **BAD[case][0](rows)}))
    assert data.spec.classes == ("part0", "part1")
    assert any("metadata." in note for note in data.notes)
    assert data.train.captions is None


def test_rows_without_an_image_are_a_note(make_folder, figures):
    files, rows = figures
    more = [*rows, {**rows[0], "file_name": "gone.png"}, {**rows[0], "file_name": "lost.png"}]
    data = read(make_folder({**files, "metadata.jsonl": jsonl(more)}), label_column="shape")
    assert any("2 rows" in note and "line 21" in note and "gone.png" in note for note in data.notes)


def test_a_column_of_fractions_is_not_categorical():
    many = [(str(at / 7),) for at in range(MOST_FLOATS + 1)]
    with pytest.raises(DataError, match=r"'weight' .* 1,001"):
        attributes_of(many, ["weight"], "x")
    assert len(attributes_of(many[:-1], ["weight"], "x")[0].values) == MOST_FLOATS
    whole = [(str(at),) for at in range(MOST_FLOATS + 1)]
    assert attributes_of(whole, ["id"], "x")[0].values[-1] == str(MOST_FLOATS)


@given(st.lists(st.integers() | st.floats(-1e9, 1e9), min_size=1, unique_by=float))
def test_numbers_are_in_the_order_of_numbers(numbers):
    assert [float(value) for value in ordered_values({str(number) for number in numbers})] == sorted(map(float, numbers))


def test_values_that_are_not_all_numbers_are_in_the_order_of_names():
    assert ordered_values({"10", "9", "x"}) == ("10", "9", "x")
    assert ordered_values({"nan", "inf", "1"}) == ("1", "inf", "nan")


@given(
    st.lists(
        st.fixed_dictionaries({"file_name": st.text("ab/.", min_size=1), "x": st.text('aé\u2028\n"\\ ,', min_size=1)}), min_size=1
    )
)
def test_json_lines_are_read_as_they_were_written(rows):
    assert [dict(row.values) for row in parse(jsonl(rows), "metadata.jsonl").rows] == rows


@pytest.mark.parametrize("name", ["digits", "digits-thick", "ring"])
def test_sources_without_metadata_refuse_a_label_column_by_name(name):
    with pytest.raises(UsageError) as raised:
        load(DataConfig(data=name, label_column="shape"))
    assert name.split("-")[0] in str(raised.value)
    assert "--label-column" in str(raised.value)


def test_arrays_and_shards_refuse_a_label_column_by_name(tmp_path, make_tar, make_picture):
    np.save(tmp_path / "mine.npy", np.zeros((20, 4, 4), np.uint8))
    make_tar({"a.png": make_picture()}, "shards/train-000000.tar")
    for place in (tmp_path / "mine.npy", tmp_path / "shards"):
        with pytest.raises(UsageError) as raised:
            read(place, label_column="shape")
        assert str(place) in str(raised.value)


@pytest.mark.parametrize("text", [",", " ", "shape,shape"])
def test_a_list_of_columns_is_checked(text):
    with pytest.raises(UsageError, match="--label-column"):
        DataConfig(label_column=text)


def test_transforms_keep_the_labels(make_folder, figures):
    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    plain, inverted = (read(f"{folder}{suffix}", label_column="shape,hue") for suffix in ("", "-inverted"))
    assert inverted.spec == plain.spec
    assert np.array_equal(inverted.train.images, 255 - plain.train.images)
    assert np.array_equal(inverted.train.labels, plain.train.labels)
    assert inverted.train.captions == plain.train.captions


def test_check_counts_the_values_of_every_attribute(make_folder, figures):
    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    found = check(DataConfig(data=str(folder), label_column="shape,hue"))
    assert found.attributes == {"shape": {"circle": 11, "square": 9}, "hue": {"1.5": 6, "2": 7, "10": 7}}
    assert list(found.attributes["hue"]) == ["1.5", "2", "10"]
    assert found.classes == {"circle": 11, "square": 9}
    plain = check(DataConfig(data=str(folder)))
    assert plain.attributes == {}
    assert [finding.severity for finding in plain.findings if finding.kind == "metadata"] == ["note"]


def test_check_warns_of_a_column_with_a_value_for_each_image(make_folder, make_picture):
    rows = [{"file_name": f"{at}.png", "id": at} for at in range(30)]
    files = {row["file_name"]: make_picture(at) for at, row in enumerate(rows)}
    found = check(DataConfig(data=str(make_folder({**files, "metadata.jsonl": jsonl(rows)})), label_column="id"))
    assert "many_values" in {finding.kind for finding in found.findings}


def test_one_attribute_is_packed_and_several_are_refused_by_name(make_folder, tmp_path, figures, recorded):
    pytest.importorskip("webdataset")
    from simulacra.data.shards.pack import pack

    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    config = DataConfig(data=str(folder), label_column="shape")
    pack(config, tmp_path / "one", progress=recorded)
    packed = read(tmp_path / "one")
    assert packed.spec.classes == SHAPES
    known = by_pixels(files, rows, "shape")
    for split in packed.splits:
        assert [SHAPES[label] for label in np.asarray(split.labels)] == [known[image.tobytes()] for image in split.images]
    assert any("captions" in line for line in recorded.lines)
    with pytest.raises(UsageError, match="shape, hue"):
        pack(replace(config, label_column="shape,hue"), tmp_path / "two")
    assert not (tmp_path / "two").exists()


def test_arrays_in_memory_have_attributes():
    images = np.random.default_rng(0).integers(2, 256, (40, 3, 3), dtype=np.uint8)
    labels = np.stack([np.arange(40) % 2, np.arange(40) % 5 * 10], axis=1)
    data = from_array(images, labels, attributes=(Attribute("shape", ("circle", "square", "star")), "hue"))
    assert data.spec.attributes == (
        Attribute("shape", ("circle", "square", "star")),
        Attribute("hue", ("0", "10", "20", "30", "40")),
    )
    assert data.spec.classes == ("circle", "square", "star")
    known = {image.tobytes(): label.tolist() for image, label in zip(images, labels // [1, 10], strict=True)}
    for split in data.splits:
        assert [known[image.tobytes()] for image in split.images] == np.asarray(split.labels).tolist()
    one = from_array(images, labels[:, 0], attributes=["shape"])
    assert (one.spec.classes, one.spec.attributes, np.asarray(one.train.labels).ndim) == (("0", "1"), (), 1)


@pytest.mark.parametrize(
    ("shape", "attributes", "held"),
    [
        ((20, 2), (), "attributes="),
        ((20, 2), ("a", "b", "c"), r"\(20, 3\)"),
        ((20,), ("a", "b"), r"\(20, 2\)"),
        ((20, 2), (Attribute("a", ("x",)), "b"), "label 1 .* 1 values of a"),
    ],
)
def test_attributes_that_do_not_fit_the_labels_are_refused(shape, attributes, held):
    with pytest.raises(DataError, match=held):
        from_array(np.full((20, 3, 3), 9, np.uint8), np.ones(shape, int), attributes=attributes)


def test_the_classes_of_an_array_are_the_numbers_that_occur():
    images = np.random.default_rng(0).integers(2, 256, (40, 3, 3), dtype=np.uint8)
    years = np.array([2019, 1987])[np.arange(40) % 2]
    data = from_array(images, years)
    assert data.spec.classes == ("1987", "2019")
    known = {image.tobytes(): str(year) for image, year in zip(images, years, strict=True)}
    for split in data.splits:
        assert [data.spec.classes[label] for label in np.asarray(split.labels)] == [
            known[image.tobytes()] for image in split.images
        ]


@pytest.mark.parametrize("column", ["shape", "shape,hue"])
def test_attributes_are_kept_in_the_provenance_of_a_run(column, make_folder, figures):
    files, rows = figures
    data = read(make_folder({**files, "metadata.jsonl": jsonl(rows)}), label_column=column)
    stored = json.loads(json.dumps(provenance._data(data)))
    assert run._spec(stored) == data.spec


def test_the_commands_check_and_prepare_list_the_attributes(make_folder, figures, capsys):
    files, rows = figures
    folder = make_folder({**files, "metadata.jsonl": jsonl(rows)})
    assert main(["data", "prepare", str(folder), "--label-column", "shape,hue", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attributes"] == {"shape": ["circle", "square"], "hue": ["1.5", "2", "10"]}
    main(["data", "check", str(folder), "--label-column", "shape,hue"])
    assert "hue: 1.5 (6), 2 (7), 10 (7)" in capsys.readouterr().out
    assert main(["data", "check", str(folder), "--label-column", "shpe"]) == 2
    assert "'shape'" in capsys.readouterr().err
