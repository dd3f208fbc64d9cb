"""What ``steer`` may be, and the levels that it stands for."""

import re

import numpy as np
import pytest

from sksparse_rec.steering._knobs import read_knobs, target_levels

LEVELS = np.array([[0.2], [-0.1], [0.8]])
NAN = np.nan


def targets_for(asked):
    (knob,) = read_knobs({"tea": asked}, lambda name: 0, 3)
    return target_levels([knob], LEVELS).ravel()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (0.5, [0.5, 0.35, 0.8]),
        (1, [0.8, 0.8, 0.8]),
        (("raise", 0.5), [0.5, 0.35, 0.8]),
        (-0.5, [0.1, -0.1, 0.4]),
        (-1, [0, -0.1, 0]),
        (("lower", 0.5), [0.1, -0.1, 0.4]),
        (("set", 0.3), [0.3, 0.3, 0.3]),
        (("set", -0.3), [-0.3, -0.3, -0.3]),
        (("clamp", -1, 0.5), [0.2, -0.1, 0.5]),
        (("clamp", 0, 0.5), [0.2, 0, 0.5]),
        (("clamp", 0.4, 0.4), [0.4, 0.4, 0.4]),
        ([0.5, -1, NAN], [0.5, -0.1, NAN]),
        (np.array([0.5, 0, -0.5]), [0.5, NAN, 0.4]),
        (("set", [NAN, 0, 1]), [NAN, 0, 1]),
        (("clamp", [0.5, NAN, 0], [1, 1, 0.1]), [0.5, NAN, 0.1]),
        (["raise", 0.5], [0.5, 0.35, 0.8]),
    ],
)
def test_levels_that_are_asked_for(asked, expected):
    np.testing.assert_allclose(targets_for(asked), expected, atol=1e-15)


def test_raising_lowers_nobody():
    (knob,) = read_knobs({"tea": 0.5}, lambda name: 0, 1)
    np.testing.assert_array_equal(target_levels([knob], np.array([[0.95]])), [[0.95]])


@pytest.mark.parametrize("asked", [0, ("raise", 0), ("lower", 0), 0.0, -0.0])
def test_strength_0_leaves_everybody_alone(asked):
    assert np.isnan(targets_for(asked)).all()


@pytest.mark.parametrize(
    ("steer", "message"),
    [
        ("tea", "steer maps concepts to strengths, such as {'comedy': 0.5}, got 'tea'"),
        ({"tea": 2}, "steer['tea'] has the strength 2, which is not between -1 and 1"),
        ({"tea": -1.5}, "has the strength -1.5, which is not between -1 and 1"),
        ({"tea": ("raise", -0.5)}, "the strength -0.5, which is not between 0 and 1"),
        ({"tea": [0, 0, 7]}, "has the strength 7 for user 2"),
        ({"tea": [0.5, 0.5]}, "steer['tea'] has 2 strengths for 3 users"),
        ({"tea": NAN}, "steer['tea'] is NaN; leave the concept out instead"),
        ({"tea": "much"}, "steer['tea'] is 'much', which is not a number from -1"),
        ({"tea": True}, "steer['tea'] is True, which is not a number"),
        ({"tea": None}, "steer['tea'] is None, which is not a number"),
        ({"tea": [[0.5]]}, "steer['tea'] is [[0.5]], which is not a number"),
        ({"tea": ("push", 0.5)}, "steer['tea'] is ('push', 0.5), which is not"),
        ({"tea": ("clamp", 0.5)}, "steer['tea'] is ('clamp', 0.5), which is not"),
        ({"tea": ("set",)}, "steer['tea'] is ('set',), which is not"),
        (
            {"tea": ("clamp", 0.6, 0.5)},
            "a lowest level above the highest: 0.6 is above 0.5",
        ),
        (
            {"tea": ("clamp", [0.1, NAN, 0.3], 0.2)},
            "above the highest for user 2: 0.3 is above 0.2",
        ),
        ({"tea": ("set", -1.5)}, "strength -1.5, which is not between -1 and 1"),
        ({"tea": 0.5, 0: 0.2}, "steer has concept 0 twice, as 'tea' and as 0"),
    ],
)
def test_refused_knobs(steer, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_knobs(steer, lambda name: 0, 3)


def test_knobs_of_some_users():
    (knob,) = read_knobs({"tea": [0.1, 0.2, 0.3]}, lambda name: 4, 3)
    some = knob.of(np.array([2, 0]))
    assert some.concept == 4
    np.testing.assert_array_equal(some.strengths[0], [0.3, 0.1])


def test_nothing_to_steer():
    assert read_knobs(None, None, 3) == []
    assert read_knobs({}, None, 3) == []
