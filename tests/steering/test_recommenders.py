"""What recommenders may return, and what is known where users are few."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import FunctionTransformer

from sksparse_rec import CompresSAE, ConceptMap, SteerableRecommender, top_items


def small_sae():
    return CompresSAE(8, n_nonzero=2, max_iter=1, random_state=0)


class SparseSVD(TruncatedSVD):
    def transform(self, X):
        return sp.csr_matrix(super().transform(X))

    def inverse_transform(self, X):
        return super().inverse_transform(np.asarray(X))


def test_sparse_profiles_of_others_are_those_of_dense_ones(planted, concepts):
    answers = []
    for recommender in (TruncatedSVD(4, random_state=0), SparseSVD(4, random_state=0)):
        model = SteerableRecommender(recommender, sae=small_sae())
        model.fit(planted.train, item_concepts=concepts)
        R = model.recommend(planted.test, k=5, steer={0: 0.4})
        answers.append(top_items(R))
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    np.testing.assert_allclose(answers[0][1], answers[1][1], rtol=1e-6)


def test_profiles_without_a_row_for_each_user_are_refused(planted):
    flat = FunctionTransformer(lambda X: np.zeros(3), accept_sparse=True)
    with pytest.raises(ValueError, match=r"returned an array of shape \(3,\) for 1"):
        SteerableRecommender(flat, sae=small_sae()).fit(planted.train)


def test_nobody_has_items_to_hide():
    X = sp.csr_array(np.eye(6))
    model = SteerableRecommender(TruncatedSVD(2, random_state=0), sae=small_sae())
    assert np.isnan(model.fit(X).insertion_loss_)


def test_names_of_neurons_without_a_map(planted):
    model = SteerableRecommender(TruncatedSVD(2, random_state=0), sae=small_sae())
    names = model.fit(planted.train).get_feature_names_out()
    assert names.tolist() == [f"steerablerecommender{i}" for i in range(8)]


def test_columns_in_the_same_order_are_taken(planted):
    X = pd.DataFrame(planted.train.toarray(), columns=[f"i{i}" for i in range(90)])
    recommender = TruncatedSVD(2, random_state=0).fit(X)
    model = SteerableRecommender(recommender, sae=small_sae())
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert model.fit(X).recommender_ is recommender


def test_classes_of_items_as_objects():
    X = np.array([[1.0, 0], [0, 1], [1, 0]])
    labels = np.array(["tea", "jazz", "tea"], dtype=object)
    assert ConceptMap().fit(X, labels).concept_names_.tolist() == ["jazz", "tea"]
