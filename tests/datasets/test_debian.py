"""The bundled data set and the script that makes it."""

import gzip
import hashlib
import importlib.util
import lzma
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn import config_context

from sksparse_rec.datasets import load_debian

SHA256 = "526bbf68db7b13932287f7637c5ddc66ee79dbf58e69f85ab9eb94848c56a862"
SCRIPT = Path(__file__).parents[2] / "docs" / "make_debian.py"


@pytest.fixture(scope="module")
def debian():
    return load_debian()


@pytest.fixture(scope="module")
def script():
    if not SCRIPT.is_file():
        pytest.skip("the tests run from an installed package, without docs/")
    spec = importlib.util.spec_from_file_location("make_debian", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bundled_file_is_the_published_one():
    path = resources.files("sksparse_rec.datasets") / "data" / "debian.npz"
    raw = path.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == SHA256
    assert len(raw) < 1_000_000


def test_shapes_and_types(debian):
    assert debian.data.shape == (11_426, 4_205)
    assert debian.data.nnz == 126_648
    assert debian.data.dtype == np.float32
    assert (debian.data.data == 1).all()
    assert debian.data.has_canonical_format
    assert debian.item_tags.shape == (4_205, 425)
    assert debian.item_tags.dtype == np.int8
    assert debian.item_titles is None
    assert debian.timestamps is None
    for key, n in [
        ("user_ids", 11_426),
        ("item_ids", 4_205),
        ("item_sections", 4_205),
        ("tag_names", 425),
    ]:
        assert debian[key].shape == (n,)
        assert debian[key].dtype == object
        assert all(isinstance(name, str) and name for name in debian[key])


def test_description_states_the_facts(debian):
    n_users, n_items = debian.data.shape
    assert len(set(debian.item_sections)) == 52
    tagged = np.count_nonzero(np.diff(debian.item_tags.indptr))
    assert SHA256 in debian.DESCR
    for number in (
        n_users,
        n_items,
        debian.data.nnz,
        len(debian.tag_names),
        debian.item_tags.nnz,
        tagged,
    ):
        assert f"{number:,}" in debian.DESCR


def test_every_row_and_column_has_five_ones(debian):
    assert np.diff(debian.data.indptr).min() == 5
    assert debian.data.sum(axis=0).min() == 5


def test_names_are_sorted_and_unique(debian):
    for key in ("user_ids", "item_ids", "tag_names"):
        names = list(debian[key])
        assert names == sorted(set(names))


def test_tags_belong_to_their_items(debian):
    items = list(debian.item_ids)
    row = debian.item_tags[[items.index("python3-numpy")]]
    assert "devel::lang:python" in debian.tag_names[row.indices]
    assert debian.item_sections[items.index("python3-numpy")] == "python"


@pytest.mark.parametrize(
    ("interface", "kind"), [("sparray", sp.csr_array), ("spmatrix", sp.csr_matrix)]
)
def test_sparse_interface(interface, kind):
    with config_context(sparse_interface=interface):
        debian = load_debian()
    assert type(debian.data) is kind
    assert type(debian.item_tags) is kind


def _make_index():
    libraries = [f"lib{k}" for k in range(6)]
    stanzas = [
        f"Package: {name}\nSection: libs\n"
        f"Tag: role::shared-lib, made-of::TODO,\n a::{name}\n"
        for name in libraries
    ]
    stanzas += [
        f"Package: app{k}-bin\nSource: app{k} (2.0-1)\nSection: games\n"
        f"Pre-Depends: lib0 (>= 1), app{k}-data\nDepends: lib1:any, lib2 | lib3\n"
        f"Recommends: virtual, lib4 [amd64]\nSuggests: lib5\n\n"
        f"Package: app{k}-data\nSource: app{k}\nSection: games\n"
        for k in range(5)
    ]
    # Too few dependencies, and the only one with this dependency.
    stanzas += ["Package: tiny\nSection: games\nDepends: lib0, app0-data\n"]
    return "\n".join(stanzas)


def test_script_rules(script):
    pairs, sections, tags = script.collect(script.parse_stanzas(_make_index()))
    arrays = script.pack(script.keep_core(pairs), sections, tags)
    assert arrays["user_ids"].tolist() == [b"app0", b"app1", b"app2", b"app3", b"app4"]
    # lib3 is a second alternative; "virtual" is unknown; app*-data are the source's
    # own; "tiny" has only two.
    assert arrays["item_ids"].tolist() == [b"lib0", b"lib1", b"lib2", b"lib4", b"lib5"]
    assert arrays["row_lengths"].tolist() == [5] * 5
    assert arrays["indices"].tolist() == [0, 1, 2, 3, 4] * 5
    assert set(arrays["item_sections"].tolist()) == {b"libs"}
    assert b"made-of::TODO" not in arrays["tag_names"]
    assert b"a::lib0" in arrays["tag_names"]


def test_script_writes_the_same_bytes_again(script, tmp_path, monkeypatch, capsys):
    index = tmp_path / "Packages.xz"
    index.write_bytes(lzma.compress(_make_index().encode()))
    written = []
    for name in ("a.npz", "b.npz"):
        output = tmp_path / name
        arguments = ["make_debian", "--packages", str(index), "--output", str(output)]
        monkeypatch.setattr("sys.argv", arguments)
        script.main()
        written.append(output.read_bytes())
    assert written[0] == written[1]
    assert hashlib.sha256(written[0]).hexdigest() in capsys.readouterr().out


def test_script_without_index(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "APT_LISTS", tmp_path)
    with pytest.raises(SystemExit, match="apt-get update"):
        script.find_index()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_script_reads_other_compressions(script, tmp_path, suffix):
    path = tmp_path / f"Packages{suffix}"
    raw = b"Package: a\n"
    path.write_bytes(gzip.compress(raw) if suffix else raw)
    assert script.read_index(path) == raw
