"""Unit rows of every scale and kind, and batches that cover a table once."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal

from sksparse_rec._numerics import vectors as vectors_module
from sksparse_rec._numerics.device import make_generator
from sksparse_rec._numerics.vectors import (
    Vectors,
    all_blocks,
    draw_rows,
    load_vectors,
    mean_unit_row,
    shuffled_vectors,
    take_rows,
    unit_rows,
)

CPU = torch.device("cpu")


@pytest.fixture
def table(rng):
    """Ten rows, of which the third is zero."""
    X = rng.normal(size=(10, 4)).astype(np.float32)
    X[2] = 0
    return X


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(vectors_module, "PIECE_ROWS", 3)
    monkeypatch.setattr(vectors_module, "PIECES", 2)


def plain_unit_rows(X):
    X = np.asarray(X, dtype=np.float64)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1)


@pytest.mark.parametrize("container", [np.array, sp.csr_array, np.asfortranarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_rows(table, dtype, container):
    units = unit_rows(container(table.astype(dtype)))
    assert units.dtype == np.float32
    assert_allclose(units, plain_unit_rows(table), atol=1e-6)
    assert not units[2].any()


def test_unit_rows_of_half_precision(table):
    units = unit_rows(table.astype(np.float16))
    assert units.dtype == np.float32
    assert_allclose(units, plain_unit_rows(table.astype(np.float16)), atol=1e-6)
    assert_allclose(np.linalg.norm(units, axis=1), [1, 1, 0, *[1] * 7], atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "scales"),
    [
        (np.float16, [6e4, 1, 6e-8]),
        (np.float32, [3e38, 1e25, 1, 1e-25, 1e-45]),
        (np.float64, [1e308, 1e200, 1, 1e-200, 5e-324]),
    ],
)
def test_unit_rows_of_every_scale(dtype, scales):
    """Squares would overflow, or vanish."""
    signs = np.array([1, -1, 0, 1])
    X = np.array([scale * signs for scale in scales], dtype=dtype)
    assert np.isfinite(X).all()
    assert X.any(axis=1).all()
    expected = np.tile(signs / np.sqrt(3), (len(scales), 1))
    assert_allclose(unit_rows(X), expected, atol=1e-6)


@pytest.mark.parametrize("odd", [1e30, 1e-30, 0])
def test_rows_of_odd_lengths_change_no_others(rng, odd):
    """Equal rows are equal in every block."""
    X = rng.normal(size=(40, 37)).astype(np.float32)
    alone = unit_rows(X)
    assert_array_equal(unit_rows(np.vstack([X, odd * X[:1]]))[:-1], alone)
    assert_array_equal(unit_rows(X.astype(np.float64)), alone)


def test_unit_rows_leave_the_table_alone(table):
    before = table.copy()
    table.flags.writeable = False
    unit_rows(table, np.ones(4, np.float32))
    assert_array_equal(table, before)


def test_centred_unit_rows(table):
    mean = np.array([0.1, 0.2, -0.1, 0], dtype=np.float32)
    units = unit_rows(table, mean)
    assert units.dtype == np.float32
    expected = plain_unit_rows(plain_unit_rows(table) - mean)
    expected[2] = 0  # rows of zeros stay so
    assert_allclose(units, expected, atol=1e-6)


@pytest.mark.parametrize("n_rows", [1, 3, 40])
def test_rows_of_one_direction_are_zeros_when_centred(table, n_rows, rng, monkeypatch):
    """Not the rounding errors of zeros, scaled up."""
    monkeypatch.setattr(vectors_module, "BLOCK_ROWS", 7)
    X = np.repeat(table[:1], n_rows, axis=0)
    X *= rng.uniform(1, 9, (n_rows, 1)).astype(np.float32)
    assert not unit_rows(X, mean_unit_row(X)).any()


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("block_rows", [1, 3, 10, 2048])
def test_mean_unit_row(table, container, block_rows, monkeypatch):
    monkeypatch.setattr(vectors_module, "BLOCK_ROWS", block_rows)
    mean = mean_unit_row(container(table))
    assert mean.dtype == np.float32
    assert_allclose(mean, plain_unit_rows(table).mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("container", [np.array, sp.csr_array])
@pytest.mark.parametrize("mean", [None, np.full(4, 0.2, dtype=np.float32)])
def test_take_rows(table, container, mean):
    vectors = Vectors(container(table), mean, CPU)
    expected = unit_rows(table, mean)
    for rows in (np.array([4, 0, 4]), slice(3, 6), slice(8, 20), np.array([], int)):
        taken = take_rows(vectors, rows)
        assert taken.dtype == torch.float32
        assert_allclose(taken, expected[rows], atol=1e-7)
    taken.fill_(9)
    take_rows(vectors, slice(None)).fill_(9)
    assert table.max() < 9


@pytest.mark.parametrize("mean", [None, np.full(4, 0.2, dtype=np.float32)])
def test_a_table_that_is_on_the_device(table, mean, monkeypatch):
    """Everything is as if rows were copied for every batch."""
    monkeypatch.setattr(vectors_module, "BLOCK_ROWS", 4)
    streamed = load_vectors(table, mean, CPU)
    assert streamed.units is None
    monkeypatch.setattr(vectors_module, "has_room", lambda device, n_bytes: True)
    assert load_vectors(sp.csr_array(table), mean, CPU).units is None
    assert load_vectors(table, mean, CPU, is_mapped=True).units is None
    loaded = load_vectors(table, mean, CPU)
    for rows in (np.array([4, 0, 4]), slice(3, 6), slice(8, 20), np.array([], int)):
        assert torch.equal(take_rows(loaded, rows), take_rows(streamed, rows))
    for passes in (
        all_blocks,
        lambda vectors: shuffled_vectors(vectors, 3, make_generator(0)),
        lambda vectors: [draw_rows(vectors, 4, make_generator(1))],
    ):
        for ours, theirs in zip(passes(loaded), passes(streamed), strict=True):
            assert torch.equal(ours, theirs)


def test_room_is_asked_for_in_bytes(table, monkeypatch):
    asked = []
    monkeypatch.setattr(
        vectors_module, "has_room", lambda *asking: asked.append(asking)
    )
    load_vectors(table, None, CPU)
    assert asked == [(CPU, 4 * table.size)]


@pytest.mark.parametrize("block_rows", [1, 4, 5, 100])
def test_all_blocks(table, block_rows, monkeypatch):
    monkeypatch.setattr(vectors_module, "BLOCK_ROWS", block_rows)
    blocks = list(all_blocks(Vectors(table, None, CPU)))
    assert max(map(len, blocks)) == min(block_rows, 10)
    assert_array_equal(torch.cat(blocks), unit_rows(table))


def test_draw_rows(table):
    """Rows of zeros are no directions to start from."""
    vectors = Vectors(table, None, CPU)
    everything = unit_rows(table)
    seen = set()
    for seed in range(20):
        drawn = draw_rows(vectors, 4, make_generator(seed))
        assert len(drawn) in (3, 4)
        places = [np.flatnonzero((everything == row.numpy()).all(1)) for row in drawn]
        assert len(set(map(int, np.concatenate(places)))) == len(drawn)
        seen.update(map(int, np.concatenate(places)))
    assert seen == set(range(10)) - {2}
    assert draw_rows(vectors, 0, make_generator(0)).shape == (0, 4)
    assert draw_rows(vectors, 99, make_generator(0)).shape == (9, 4)


def numbered(n_rows):
    """Rows that say who they are: angles that grow with the position."""
    angles = np.linspace(0, 3, n_rows)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def positions_of(batch, n_rows):
    angles = np.arctan2(batch[:, 1].numpy(), batch[:, 0].numpy())
    return np.rint(angles / 3 * (n_rows - 1)).astype(int) if n_rows > 1 else [0]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("is_mapped", [False, True])
@pytest.mark.parametrize("n_rows", [1, 2, 3, 20, 31])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_every_row_comes_once_and_batches_ascend(n_rows, batch_size, is_mapped):
    vectors = Vectors(numbered(n_rows), None, CPU, is_mapped)
    batches = list(shuffled_vectors(vectors, batch_size, make_generator(0)))
    positions = [positions_of(batch, n_rows) for batch in batches]
    assert_array_equal(np.sort(np.concatenate(positions)), np.arange(n_rows))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert all((np.diff(batch) > 0).all() for batch in positions)
    if n_rows == 31 and batch_size == 4:
        assert any((np.diff(batch) > 1).any() for batch in positions)


@pytest.mark.parametrize("is_mapped", [False, True])
def test_order_is_the_seeds(is_mapped):
    """And another one in the next epoch."""
    vectors = Vectors(numbered(200), None, CPU, is_mapped)

    def order(generator):
        return torch.cat(list(shuffled_vectors(vectors, 10, generator)))

    generator = make_generator(3)
    first, second = order(generator), order(generator)
    assert torch.equal(first, order(make_generator(3)))
    assert not torch.equal(first, second)


def test_mapped_rows_are_read_in_pieces(small_pieces):
    """A batch of as many rows as are mixed touches as many pieces, not all."""
    vectors = Vectors(numbered(90), None, CPU, True)
    mixed_rows = vectors_module.PIECE_ROWS * vectors_module.PIECES
    starts = []
    for batch in shuffled_vectors(vectors, mixed_rows, make_generator(0)):
        pieces = np.unique(positions_of(batch, 90) // vectors_module.PIECE_ROWS)
        assert len(pieces) == vectors_module.PIECES
        starts.extend(pieces)
    assert sorted(starts) == list(range(30))
    assert starts != sorted(starts)
    smaller = shuffled_vectors(vectors, vectors_module.PIECE_ROWS, make_generator(0))
    assert any((np.diff(positions_of(batch, 90)) > 1).any() for batch in smaller)


def test_rows_of_a_mapped_file(tmp_path):
    X = numbered(50).astype(np.float16)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    vectors = Vectors(mapped, mean_unit_row(mapped), CPU, True)
    rows = torch.cat(list(shuffled_vectors(vectors, 8, make_generator(0))))
    assert not isinstance(rows.numpy(), np.memmap)
    expected = unit_rows(X, mean_unit_row(X))
    assert_allclose(np.sort(rows.numpy(), axis=0), np.sort(expected, axis=0), atol=1e-6)
