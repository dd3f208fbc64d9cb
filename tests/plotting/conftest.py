"""Pictures are drawn without a display, and closed."""

import sys
from pathlib import Path

import matplotlib
import pytest

from sksparse_rec import CompressedELSA, LatentSegments

matplotlib.use("Agg")
# For what the tests of this folder share.
sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("extents")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def model(planted):
    return CompressedELSA(
        16, n_nonzero=4, max_iter=3, batch_size=64, random_state=0
    ).fit(planted.train)


@pytest.fixture(scope="module")
def segments(model):
    return LatentSegments(min_size=2).fit(model.item_embeddings_)
