"""Quality on real data that is not part of the repository."""

import numpy as np
import pytest
import scipy.sparse as sp

from sksparse_rec import CompressedELSA
from sksparse_rec.metrics import ndcg_at_k
from sksparse_rec.model_selection import holdout_split


@pytest.mark.data
def test_movies_are_ranked_well_above_popularity(development_data):
    X = sp.load_npz(development_data / "ml-latest-small" / "interactions.npz")
    X = sp.csr_array((X >= 4).astype(np.float32))
    X = X[np.diff(X.indptr) >= 5]
    history, targets = holdout_split(X[::5], random_state=0)
    train = X[np.arange(X.shape[0]) % 5 > 0]
    model = CompressedELSA(512, n_nonzero=16, max_iter=6, random_state=0).fit(train)
    no_history = sp.csr_array(history.shape, dtype=np.float32)
    popular = model.recommend(no_history, k=100, deny=sp.csr_array(history))
    popularity = ndcg_at_k(targets, popular, k=100)
    assert ndcg_at_k(targets, model.recommend(history, k=100), k=100) > (
        popularity + 0.05
    )
