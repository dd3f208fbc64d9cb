"""Turning profiles: levels are reached, lengths and the rest stay."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec.steering._rotation import levels_of, rotate, row_norms, unit

N_USERS, N_DIMENSIONS, N_CONCEPTS = 12, 8, 3


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.fixture
def profiles(generator):
    return generator.normal(size=(N_USERS, N_DIMENSIONS))


@pytest.fixture
def directions(generator):
    return unit(np.abs(generator.normal(size=(N_CONCEPTS, N_DIMENSIONS))))


def rest_of(profiles, directions):
    """What is orthogonal to the directions, as unit rows."""
    basis = np.linalg.qr(directions.T)[0]
    return unit(profiles - profiles @ basis @ basis.T)


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("n_concepts", [1, 2, 3])
def test_levels_are_reached_and_the_rest_stays(
    generator, profiles, directions, n_concepts, is_sparse
):
    directions = directions[:n_concepts]
    targets = generator.uniform(0.1, 0.4, size=(N_USERS, n_concepts))
    given = sp.csr_array(profiles) if is_sparse else profiles
    B = sp.csr_array(directions) if is_sparse else directions
    levels = levels_of(given, B)
    turned = rotate(given, B, levels, targets)
    assert sp.issparse(turned) == is_sparse
    turned = turned.toarray() if is_sparse else turned
    np.testing.assert_allclose(levels_of(turned, directions), targets, atol=1e-12)
    np.testing.assert_allclose(row_norms(turned), row_norms(profiles))
    np.testing.assert_allclose(
        rest_of(turned, directions), rest_of(profiles, directions), atol=1e-10
    )


def test_users_who_are_left_alone_keep_every_bit(profiles, directions):
    levels = levels_of(profiles, directions)
    targets = np.full_like(levels, np.nan)
    assert rotate(profiles, directions, levels, targets) is profiles
    assert rotate(profiles, directions, levels, levels) is profiles
    targets[::2, 1] = 0.9
    turned = rotate(profiles, directions, levels, targets)
    np.testing.assert_array_equal(turned[1::2], profiles[1::2])
    assert (turned[::2] != profiles[::2]).any(axis=1).all()
    sparse, B = sp.csr_array(profiles), sp.csr_array(directions)
    turned = rotate(sparse, B, levels, targets).toarray()
    np.testing.assert_array_equal(turned[1::2], profiles[1::2])


def test_users_do_not_depend_on_each_other(profiles, directions):
    levels = levels_of(profiles, directions)
    targets = np.where(np.arange(N_USERS)[:, None] % 3 == 0, np.nan, 0.3)
    targets = np.tile(targets, (1, N_CONCEPTS))
    targets[1::2, 0] = np.nan
    targets[2, 1] = levels[2, 1]
    together = rotate(profiles, directions, levels, targets)
    for user in range(N_USERS):
        one = slice(user, user + 1)
        alone = rotate(profiles[one], directions, levels[one], targets[one])
        np.testing.assert_allclose(together[one], alone, atol=1e-12)


def test_levels_that_stay_are_held_while_others_move(profiles, directions):
    levels = levels_of(profiles, directions)
    targets = levels.copy()
    targets[:, 0] += 0.01
    turned = rotate(profiles, directions, levels, targets)
    np.testing.assert_allclose(levels_of(turned, directions), targets, atol=1e-12)


def test_contradictory_levels_are_shrunk_in_proportion(profiles):
    directions = np.eye(N_DIMENSIONS)[:2]
    levels = levels_of(profiles, directions)
    targets = np.tile([1.0, 0.5], (N_USERS, 1))
    turned = rotate(profiles, directions, levels, targets)
    expected = np.array([1.0, 0.5]) / np.sqrt(1.25)
    np.testing.assert_allclose(
        levels_of(turned, directions), np.tile(expected, (N_USERS, 1))
    )
    np.testing.assert_allclose(row_norms(turned), row_norms(profiles))


def test_two_names_of_one_direction_meet_in_the_middle(profiles):
    directions = np.eye(N_DIMENSIONS)[[0, 0]]
    levels = levels_of(profiles, directions)
    targets = np.tile([0.2, 0.6], (N_USERS, 1))
    turned = rotate(profiles, directions, levels, targets)
    np.testing.assert_allclose(levels_of(turned, directions), 0.4)


@pytest.mark.parametrize("distance", [1e-6, 1e-3, 0.1])
def test_nearly_the_same_direction_meets_in_the_middle(profiles, distance):
    directions = unit(np.eye(N_DIMENSIONS)[[0, 0]] + [[0, 0, 0, distance] * 2, [0] * 8])
    levels = levels_of(profiles, directions)
    turned = rotate(profiles, directions, levels, np.tile([0.2, 0.6], (N_USERS, 1)))
    np.testing.assert_allclose(levels_of(turned, directions), 0.4, atol=0.15)
    np.testing.assert_allclose(row_norms(turned), row_norms(profiles))


def test_an_empty_profile_becomes_the_concept(directions):
    empty = np.zeros((2, N_DIMENSIONS))
    levels = levels_of(empty, directions[:1])
    np.testing.assert_array_equal(levels, 0)
    turned = rotate(empty, directions[:1], levels, np.array([[0.1], [np.nan]]))
    np.testing.assert_allclose(turned[0], directions[0])
    np.testing.assert_array_equal(turned[1], 0)


def test_a_profile_that_is_all_concept():
    profile = np.array([[0.0, 2.0, 0.0]])
    direction = np.array([[0.0, 1.0, 0.0]])
    levels = levels_of(profile, direction)
    half = rotate(profile, direction, levels, np.array([[0.5]]))
    np.testing.assert_allclose(half, profile)  # there is nothing else to turn to
    none = rotate(profile, direction, levels, np.array([[0.0]]))
    np.testing.assert_array_equal(none, 0)
