"""What a steerable recommender refuses, and how it says so."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer

from sksparse_rec import CompresSAE, SteerableRecommender


def test_no_concepts(own):
    with pytest.raises(ValueError, match="item_concepts is None, and must be a matrix"):
        own.map_concepts(None)


@pytest.mark.parametrize(
    ("steer", "message"),
    [
        ({"tee": 0.5}, "tea"),
        ({9: 0.5}, "9"),
        ({"nothing": 0.5}, "concept 'nothing' cannot be steered: no neuron stands"),
        ({"tea": 3}, "steer['tea'] has the strength 3"),
        ({"tea": [0.5]}, "steer['tea'] has 1 strengths for 80 users"),
        ({("tea", "jazz"): 0.5}, "unknown concept ('tea', 'jazz'): "),
        ({None: 0.5}, "unknown concept None: "),
        (pd.Series({"tea": 0.5}), "steer maps concepts to strengths"),
        (np.ones(3), "steer maps concepts to strengths"),
    ],
)
def test_refused_knobs(own, coded, planted, steer, message):
    for model in (own, coded):
        with pytest.raises(ValueError, match=re.escape(message)):
            model.recommend(planted.test, steer=steer)


def test_levels_of_unknown_concepts(own, planted):
    with pytest.raises(ValueError, match="tea"):
        own.concept_levels(planted.test, ["tee"])
    for method in (own.concept_levels, own.steering_report):
        with pytest.raises(ValueError, match=re.escape("a list of concepts: ['tea']")):
            method(planted.test, "tea")
    np.testing.assert_array_equal(own.concept_levels(planted.test, ["nothing"]), 0)
    assert own.concept_levels(planted.test, []).shape == (80, 0)


class OneWay(TruncatedSVD):
    inverse_transform = property()


def test_refused_recommenders(planted):
    with pytest.raises(ValueError, match="OneWay has no method inverse_transform"):
        SteerableRecommender(OneWay(2)).fit(planted.train)
    other = TruncatedSVD(2).fit(planted.train[:, :40])
    with pytest.raises(ValueError, match="fitted on 40 items, but X has 90"):
        SteerableRecommender(other).fit(planted.train)
    names = [f"item {i}" for i in range(90)]
    X = pd.DataFrame(planted.train.toarray(), columns=names)
    message = "with 'item 3' as column 3, where X has 'item 4': pass the columns in"
    swapped = X[[*names[:3], names[4], names[3], *names[5:]]]
    with pytest.raises(ValueError, match=message):
        SteerableRecommender(TruncatedSVD(2).fit(X)).fit(swapped)
    sae = CompresSAE(4, n_nonzero=1, max_iter=1).fit(np.eye(3))
    with pytest.raises(ValueError, match="vectors of 3 columns, but profiles of"):
        SteerableRecommender(TruncatedSVD(2), sae=sae).fit(planted.train)
    with pytest.raises(
        ValueError, match="FunctionTransformer, which has no components_"
    ):
        SteerableRecommender(TruncatedSVD(2), sae=FunctionTransformer()).fit(
            planted.train
        )


def test_unfitted_models_say_so(planted):
    frozen = SteerableRecommender(FrozenEstimator(TruncatedSVD(2)))
    with pytest.raises(NotFittedError, match="FrozenEstimator"):
        frozen.fit(planted.train)
    model = SteerableRecommender(TruncatedSVD(2))
    for method in (model.recommend, model.transform, model.steering_report):
        with pytest.raises(NotFittedError):
            method(planted.test)


class Wrong(TruncatedSVD):
    def inverse_transform(self, X):
        scores = super().inverse_transform(X)
        return scores[:, :-1] if self.n_iter == 5 else scores * np.nan


@pytest.mark.parametrize(("n_iter", "message"), [(5, "shape (80, 89)"), (4, "NaN")])
def test_recommenders_that_break_the_protocol(planted, n_iter, message):
    sae = CompresSAE(4, n_nonzero=1, max_iter=1)
    recommender = Wrong(2, n_iter=n_iter).fit(planted.train)
    model = SteerableRecommender(recommender, sae=sae)
    with pytest.raises(ValueError, match=re.escape(message).replace("80", r"\d+")):
        model.fit(planted.train).recommend(planted.test)
