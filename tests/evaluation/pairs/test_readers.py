"""Every format of pairs, and every way a list can be wrong."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.errors import UnmaskError
from unmask.evaluation.pairs import binset, readers
from unmask.evaluation.pairs.pictures import Folder, InMemory, Zip, open_pictures

NAMES = ("Ann_Lee", "Bo_Ek", "Cy_Fox", "Di_Moe")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Four people, three pictures each, in LFW's layout."""
    root = tmp_path / "faces"
    for name in NAMES:
        (root / name).mkdir(parents=True)
        for i in (1, 2, 3):
            (root / name / f"{name}_{i:04d}.jpg").write_bytes(b"x")
    return Folder(root)


def write(tmp_path: Path, text: str, name: str = "pairs.txt") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


LFW = "2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBo_Ek\t3\nCy_Fox\t1\t3\nCy_Fox\t2\tDi_Moe\t1\n"


def test_lfw(tmp_path: Path, folder: Folder) -> None:
    found = readers.read(write(tmp_path, LFW), folder)
    assert [(p.a[-8:-4], p.issame, p.fold, p.line) for p in found.pairs] == [
        ("0001", True, 0, 2),
        ("0001", False, 0, 3),
        ("0001", True, 1, 4),
        ("0002", False, 1, 5),
    ]
    assert found.people_known and len(found.pictures) == 7 and len(set(found.identity.values())) == 4
    assert found.identity["Ann_Lee/Ann_Lee_0001.jpg"] == found.identity["Ann_Lee/Ann_Lee_0002.jpg"]


def test_lfw_view_one_has_a_single_number(tmp_path: Path, folder: Folder) -> None:
    found = readers.read(write(tmp_path, "1\nAnn_Lee 1 2\nAnn_Lee 1 Bo_Ek 3\n"), folder)
    assert [p.fold for p in found.pairs] == [0, 0]


def test_a_wrong_folder_is_said_in_a_line(tmp_path: Path, folder: Folder) -> None:
    strange = LFW.replace("Ann_Lee", "Zoe").replace("Bo_Ek", "Yan").replace("Cy_Fox", "Xi")
    lists = {"pairs.txt": strange, "pairs.csv": "path_a,path_b,issame\nx/1.jpg,x/2.jpg,1\nx/1.jpg,y/2.jpg,0\n"}
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(UnmaskError, match=r"none of its pictures is there .*--images") as error:
            readers.read(tmp_path / name, folder)
        assert len(str(error.value)) < 250 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Ann_Lee\t1\t2", "Ann_Lee\t1\t9", "line 2: no picture 9 of Ann_Lee"),
        ("Ann_Lee\t1\t2", "Nobody\t1\t2", "line 2: unknown person Nobody"),
        ("Ann_Lee\t1\t2", "../Ann_Lee\t1\t2", "line 2: '../Ann_Lee' leaves the folder"),
        ("Ann_Lee\t1\t2", "Ann_Lee\t1", "line 2: 'Ann_Lee 1' is not of the form 'name i j'"),
        ("Ann_Lee\t1\t2", "Ann_Lee\tone\t2", "line 2: 'one' is no picture number"),
        ("Ann_Lee\t1\t2", "Ann_Lee\t1\t1", "line 2: pairs Ann_Lee/Ann_Lee_0001.jpg with itself"),
        ("Cy_Fox\t1\t3", "Ann_Lee\t2\t1", "line 4: repeats line 2"),
        ("Bo_Ek\t3", "Ann_Lee\t3", "line 3: Ann_Lee stands on both sides"),
        ("2\t1\n", "3\t1\n", "line 1: announces 3 x 2 x 1 pairs, but 4 lines follow"),
        ("Ann_Lee\t1\tBo_Ek\t3", "Ann_Lee\t1\t3", "line 3: 'Ann_Lee 1 3' is not of the form 'name_a i name_b j'"),
    ],
)
def test_lfw_faults_name_their_line(tmp_path: Path, folder: Folder, old: str, new: str, said: str) -> None:
    with pytest.raises(UnmaskError) as error:
        readers.read(write(tmp_path, LFW.replace(old, new, 1)), folder)
    assert said in str(error.value) and "pairs.txt" in str(error.value)


def test_many_faults_are_counted(tmp_path: Path, folder: Folder) -> None:
    strangers = "".join(f"Who{i} 1 2\n" for i in range(5)) + "".join(f"Who{i} 1 X 2\n" for i in range(6))
    text = f"1 6\nAnn_Lee 1 2\n{strangers}"
    with pytest.raises(UnmaskError, match="and 13 more"):
        readers.read(write(tmp_path, text), folder)


def test_lfw_lines_without_a_header_in_any_order(tmp_path: Path, folder: Folder) -> None:
    text = "Ann_Lee 1 Bo_Ek 3\nAnn_Lee 1 2\n\nCy_Fox 2 Di_Moe 1\nCy_Fox 1 3\n"
    found = readers.read(write(tmp_path, text), folder)
    assert [(p.issame, p.line) for p in found.pairs] == [(False, 1), (True, 2), (False, 4), (True, 5)]
    assert found.people_known and [p.fold for p in found.pairs] == [0, 0, 5, 5]
    with pytest.raises(UnmaskError, match="line 2: 'Ann_Lee 1' is neither 'name i j' nor"):
        readers.read(write(tmp_path, text.replace("Ann_Lee 1 2", "Ann_Lee 1")), folder)
    with pytest.raises(UnmaskError, match="line 5: unknown person Zoe"):
        readers.read(write(tmp_path, text.replace("Cy_Fox 1 3", "Zoe 1 3")), folder)


CSV = (
    "path_a,path_b,issame\nAnn_Lee/Ann_Lee_0001.jpg,Ann_Lee/Ann_Lee_0002.jpg,1\n"
    "Ann_Lee/Ann_Lee_0001,Bo_Ek/Bo_Ek_0003.jpg,false\n"
)


def test_csv(tmp_path: Path, folder: Folder) -> None:
    found = readers.read(write(tmp_path, CSV, "p.csv"), folder)
    assert [p.issame for p in found.pairs] == [True, False] and found.people_known
    with_fold = CSV.replace("issame", "issame,fold").replace(",1\n", ",1,4\n").replace(",false\n", ",false,5\n")
    assert [p.fold for p in readers.read(write(tmp_path, with_fold, "p.csv"), folder).pairs] == [4, 5]
    with_id = CSV.replace("issame", "issame,id_a,id_b").replace(",1\n", ",1,p,p\n").replace("false\n", "false,p,q\n")
    assert set(readers.read(write(tmp_path, with_id, "p.csv"), folder).identity.values()) == {0, 1}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("path_a,path_b", "a,b", "line 1: has the columns a, b, issame"),
        (",1\n", ",maybe\n", "line 2: issame is 'maybe'"),
        (",1\n", ",1,7\n", "line 2: has too many cells"),
        ("Bo_Ek/Bo_Ek_0003.jpg", "/etc/passwd", "line 3: '/etc/passwd' leaves the folder"),
        ("Bo_Ek/Bo_Ek_0003.jpg", "Bo_Ek/../../x.jpg", "leaves the folder"),
        ("Bo_Ek/Bo_Ek_0003.jpg", "Bo_Ek/nothing.jpg", "line 3: no picture Bo_Ek/nothing.jpg"),
        ("Bo_Ek/Bo_Ek_0003.jpg", "", "line 3: a path is missing"),
        (",false", ",1", "there are no pairs of different people"),
    ],
)
def test_csv_faults(tmp_path: Path, folder: Folder, old: str, new: str, said: str) -> None:
    with pytest.raises(UnmaskError) as error:
        readers.read(write(tmp_path, CSV.replace(old, new, 1), "p.csv"), folder)
    assert said in str(error.value)


def test_bad_fold(tmp_path: Path, folder: Folder) -> None:
    text = CSV.replace("issame", "issame,fold").replace(",1\n", ",1,x\n").replace(",false\n", ",0,1\n")
    with pytest.raises(UnmaskError, match="line 2: fold is 'x'"):
        readers.read(write(tmp_path, text, "p.csv"), folder)


def test_list_has_ten_folds_with_both_kinds(tmp_path: Path) -> None:
    keys = [f"{i:03d}/{j}.png" for i in range(20) for j in range(2)]
    source = InMemory("drawn", dict.fromkeys(keys, b"x"))
    same = [f"{i:03d}/0.png {i:03d}/1.png 1" for i in range(20)]
    different = [f"{i:03d}/0.png {(i + 1) % 20:03d}/1.png 0" for i in range(20)]
    found = readers.read(write(tmp_path, "\n".join(same + different), "agedb.txt"), source)
    for fold in range(10):
        assert [p.issame for p in found.pairs if p.fold == fold] == [True, True, False, False]
    assert found.people_known
    with pytest.raises(UnmaskError, match="line 2: 'a b' is not"):
        readers.read(write(tmp_path, f"{same[0]}\na b\n", "agedb.txt"), source)


def test_people_are_inferred_where_folders_do_not_tell(tmp_path: Path) -> None:
    source = InMemory("drawn", {f"{i}.png": b"x" for i in range(6)})
    text = "0.png 1.png 1\n1.png 2.png 1\n3.png 4.png 1\n0.png 3.png 0\n4.png 5.png 0\n"
    found = readers.read(write(tmp_path, text, "list.txt"), source)
    assert not found.people_known
    assert [found.identity[f"{i}.png"] for i in range(6)] == [0, 0, 0, 1, 1, 2]


def test_cfp(tmp_path: Path) -> None:
    protocol = tmp_path / "Protocol"
    for kind, view in (("F", "frontal"), ("P", "profile")):
        lines = [f"{i} ../Data/Images/{i:03d}/{view}/01.jpg" for i in (1, 2, 3)]
        protocol.mkdir(exist_ok=True)
        (protocol / f"Pair_list_{kind}.txt").write_text("\n".join(lines), encoding="utf-8")
    for fold in ("01", "02"):
        (protocol / "Split" / "FP" / fold).mkdir(parents=True)
        (protocol / "Split" / "FP" / fold / "same.txt").write_text("1,1\n2,2\n", encoding="utf-8")
        (protocol / "Split" / "FP" / fold / "diff.txt").write_text("1,2\n3,1\n", encoding="utf-8")
    keys = [f"Data/Images/{i:03d}/{view}/01.jpg" for i in (1, 2, 3) for view in ("frontal", "profile")]
    source = InMemory("cfp", dict.fromkeys(keys, b"x"))
    found = readers.read(protocol / "Split" / "FP", source)
    assert len(found.pairs) == 8 and found.people_known and {p.fold for p in found.pairs} == {0, 1}
    assert found.pairs[0].a.endswith("001/frontal/01.jpg") and found.pairs[0].b.endswith("001/profile/01.jpg")
    for text, said in (
        ("1,9\n", "line 1: '1,9' is not"),
        ("1,1\n\n1,1\n", "same.txt: line 3: repeats line 1"),
        ("1,1\n1\n", "line 2: '1' is not"),
    ):
        (protocol / "Split" / "FP" / "01" / "same.txt").write_text(text, encoding="utf-8")
        with pytest.raises(UnmaskError, match=said):
            readers.read(protocol / "Split" / "FP", source)
    (protocol / "Split" / "FP" / "01" / "same.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnmaskError, match=r"same\.txt: cannot be read as text"):
        readers.read(protocol / "Split" / "FP", source)
    (protocol / "Pair_list_P.txt").write_text("1 a.jpg\none b.jpg\n", encoding="utf-8")
    with pytest.raises(UnmaskError, match=r"Pair_list_P\.txt: line 2: 'one b.jpg' is not 'number path'"):
        readers.read(protocol / "Split" / "FP", source)
    with pytest.raises(UnmaskError, match="no folds"):
        readers.read(protocol, source)


def python2_bin(pictures: list[bytes], labels: list[bool]) -> bytes:
    """The set as Python 2 pickled it: pictures as BINSTRING, labels as booleans."""
    out = io.BytesIO()
    out.write(b"\x80\x02]q\x01(")
    for i, picture in enumerate(pictures):
        out.write(b"T" + len(picture).to_bytes(4, "little") + picture + b"r" + (i + 10).to_bytes(4, "little"))
    out.write(b"e]q\x02(" + b"".join(b"\x88" if label else b"\x89" for label in labels) + b"e\x86q\x03.")
    return out.getvalue()


def test_bin_sets(tmp_path: Path) -> None:
    pictures = [bytes([200 + i]) * (i + 1) for i in range(40)]
    labels = [i % 2 == 0 for i in range(20)]
    for data in (
        python2_bin(pictures, labels),
        pickle.dumps((pictures, labels), protocol=4),
        pickle.dumps((pictures, labels), protocol=3),
        pickle.dumps([pictures, labels], protocol=5),
    ):
        assert binset.parse(tmp_path / "x.bin", data) == (pictures, labels)
    assert pickle.loads(python2_bin(pictures, labels), encoding="bytes") == (pictures, labels)
    (tmp_path / "lfw.bin").write_bytes(python2_bin(pictures, labels))
    found = readers.read(tmp_path / "lfw.bin", None)
    assert len(found.pairs) == 20 and not found.people_known and len(found.embedded) == 40
    assert found.embedded[found.pairs[3].b] == pictures[7]


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (pickle.dumps((Evil(), [True])), "no pickle is run"),
        (pickle.dumps(([b"a", b"b"], {"x": 1}), protocol=4), "not all true or false"),
        (pickle.dumps([b"a"], protocol=4), "not a pair of pictures and labels"),
        (pickle.dumps(([1, 2], [True]), protocol=4), "not all plain bytes"),
        (pickle.dumps(([b"a", b"b"], [7]), protocol=4), "not all true or false"),
        (pickle.dumps(([b"a", b"b", b"c"], [True]), protocol=4), "3 pictures for 1 labels"),
        (python2_bin([b"abc", b"d"], [True])[:12], "not an insightface .bin set"),
        (b"\x80\x04e.", "not an insightface .bin set"),
        (b"", "not an insightface .bin set"),
    ],
)
def test_other_pickles_are_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(UnmaskError, match=said) as error:
        readers.read(tmp_path / "x.bin", None)
    assert "unpack it" in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_make_the_bin_reader_crash(data: bytes) -> None:
    try:
        binset.parse(Path("x.bin"), b"\x80\x02" + data)
    except UnmaskError as error:
        assert "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_the_parsers_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    base = tmp_path_factory.mktemp("fuzz")
    for name in ("p.txt", "p.csv"):
        path = base / name
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(UnmaskError):
            readers.read(path, InMemory("none", {}))


def test_sources(tmp_path: Path, folder: Folder) -> None:
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        archive.writestr("Ann_Lee/Ann_Lee_0001.jpg", b"one")
        archive.writestr("notes.txt", b"no picture")
    found = open_pictures(tmp_path / "faces.zip")
    assert isinstance(found, Zip)
    assert found.find("Ann_Lee/Ann_Lee_0001") == "Ann_Lee/Ann_Lee_0001.jpg" and found.find("notes.txt") is None
    assert found.read("Ann_Lee/Ann_Lee_0001.jpg") == b"one" and found.has_folder("Ann_Lee")
    with pytest.raises(UnmaskError, match="no such folder"):
        open_pictures(tmp_path / "missing")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(UnmaskError, match="not a readable zip"):
        open_pictures(tmp_path / "bad.zip")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder.root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert Folder(folder.root).find("link.jpg") is None
    for name in ("../x", "/x", "a/../../x", "c:/x", "a\0b"):
        assert not folder.safe(name)


def test_unreadable_lists(tmp_path: Path, folder: Folder) -> None:
    with pytest.raises(UnmaskError, match="cannot be read"):
        readers.read(tmp_path / "none.txt", folder)
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UnmaskError, match="not text"):
        readers.read(tmp_path / "x.txt", folder)
    with pytest.raises(UnmaskError, match="--images"):
        readers.read(write(tmp_path, LFW), None)


KAGGLE = "name,imagenum1,imagenum2,\nAnn_Lee,1,2,\nCy_Fox,1,3,\nAnn_Lee,1,Bo_Ek,3\nCy_Fox,2,Di_Moe,1\n"


def as_lfw(found: readers.PairList) -> list[tuple[str, str, bool]]:
    return [(Path(p.a).stem, Path(p.b).stem, p.issame) for p in found.pairs]


@pytest.mark.parametrize("comma", [",", "\t", ";"])
def test_kaggles_pairs_are_lfws(tmp_path: Path, folder: Folder, comma: str) -> None:
    found = readers.read(write(tmp_path, KAGGLE.replace(",", comma), "pairs.csv"), folder)
    assert sorted(as_lfw(found)) == sorted(as_lfw(readers.read(write(tmp_path, LFW), folder)))
    assert found.people_known
    with pytest.raises(UnmaskError, match=r"line 3: .* has 2 cells"):
        readers.read(write(tmp_path, "name,imagenum1,imagenum2\nAnn_Lee,1,2\nBo_Ek,1\n", "pairs.csv"), folder)


def test_calfw_and_cplfw_have_two_lines_a_pair(tmp_path: Path) -> None:
    root = tmp_path / "flat"
    root.mkdir()
    for name in NAMES:
        for i in (1, 2, 3):
            (root / f"{name}_{i:04d}.jpg").write_bytes(b"x")
    lines = ["Ann_Lee_0001.jpg 1", "Ann_Lee_0002.jpg 1", "Ann_Lee_0001.jpg 0", "Bo_Ek_0003.jpg 0",
             "Cy_Fox_0001.jpg 10", "Cy_Fox_0003.jpg 10", "Cy_Fox_0002.jpg 0", "Di_Moe_0001.jpg 0"]  # fmt: skip
    found = readers.read(write(tmp_path, "\n".join(lines), "pairs_CALFW.txt"), Folder(root))
    assert as_lfw(found) == [
        ("Ann_Lee_0001", "Ann_Lee_0002", True), ("Ann_Lee_0001", "Bo_Ek_0003", False),
        ("Cy_Fox_0001", "Cy_Fox_0003", True), ("Cy_Fox_0002", "Di_Moe_0001", False),
    ]  # fmt: skip
    assert found.people_known and [p.line for p in found.pairs] == [1, 3, 5, 7]
    with pytest.raises(UnmaskError, match="line 7: has no second line"):
        readers.read(write(tmp_path, "\n".join(lines[:-1])), Folder(root))
    with pytest.raises(UnmaskError, match="line 2: has another kind of number than line 1"):
        readers.read(write(tmp_path, "\n".join([lines[0], lines[2], *lines[4:]])), Folder(root))


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.txt", "pairs.csv"])
def test_tables_parted_by_tabs(tmp_path: Path, folder: Folder, name: str) -> None:
    rows = ["path_a\tpath_b\tissame", "Ann_Lee/Ann_Lee_0001.jpg\tAnn_Lee/Ann_Lee_0002.jpg\t1",
            "Ann_Lee/Ann_Lee_0001.jpg\tBo_Ek/Bo_Ek_0003.jpg\t0"]  # fmt: skip
    found = readers.read(write(tmp_path, "\n".join(rows), name), folder)
    assert as_lfw(found) == [("Ann_Lee_0001", "Ann_Lee_0002", True), ("Ann_Lee_0001", "Bo_Ek_0003", False)]


@pytest.mark.parametrize("text", ["{n}\n", "1 {n}\nAnn_Lee 1 2\n", "Ann_Lee {n} 2\n", "Ann_Lee 1 Bo_Ek {n}\n"])
def test_numbers_of_five_thousand_digits_are_one_line(tmp_path: Path, folder: Folder, text: str) -> None:
    with pytest.raises(UnmaskError) as caught:
        readers.read(write(tmp_path, text.replace("{n}", "7" * 5000)), folder)
    assert len(str(caught.value)) < 500
    with pytest.raises(UnmaskError, match="fold is '7777"):
        row = "Ann_Lee/Ann_Lee_0001.jpg,Bo_Ek/Bo_Ek_0003.jpg,0," + "7" * 5000
        readers.read(write(tmp_path, f"path_a,path_b,issame,fold\n{row}\n", "p.csv"), folder)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_bin_sets_of_numpy(tmp_path: Path, protocol: int) -> None:
    pictures, labels = [b"\xff\xd8one", b"two", b"three", b"four"], [True, False]
    for held in (labels, np.array(labels), list(np.array(labels)), np.array([1, 0]), (1, 0)):
        data = pickle.dumps((pictures, held), protocol)
        assert binset.parse(tmp_path / "x.bin", data) == (pictures, labels)
    rows = [np.frombuffer(picture, np.uint8) for picture in pictures]
    assert binset.parse(tmp_path / "x.bin", pickle.dumps((rows, labels), protocol)) == (pictures, labels)
