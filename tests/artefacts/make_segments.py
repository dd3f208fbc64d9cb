"""Save one small estimator of segments, as the format is now.

    python tests/artefacts/make_segments.py

As the models of ``make_models.py`` it is made once in each version of the format.
``segments.json`` has what it answered.
"""

import numpy as np
from saved_answers import FOLDER, write_answers

from sksparse_rec import LatentSegments, save_model


def embeddings():
    """Twelve items of four components, one of them empty."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(12, 4)) * (rng.random((12, 4)) < 0.7)
    A[5] = 0
    return A


def segments():
    """Segments with names that no ASCII has."""
    names = [f"梨 {i}" for i in range(12)]
    return LatentSegments(min_size=2, n_latents=2, merge_threshold=0.3).fit(
        embeddings(), item_names=names
    )


def answers(segments):
    """Return what loaded segments have to repeat."""
    return {
        "names": segments.segment_names_.tolist(),
        "ids": segments.segment_ids_.tolist(),
        "labels": segments.predict(embeddings()).tolist(),
        "memberships": segments.transform(embeddings()).toarray().tolist(),
        "embeddings": segments.segment_embeddings_.toarray().tolist(),
        "items": segments.items_of(segment=0)[0].tolist(),
    }


def main():
    save_model(segments(), FOLDER / "LatentSegments")
    write_answers("segments.json", answers(segments()))


if __name__ == "__main__":
    main()
