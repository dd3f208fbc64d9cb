"""Change a parameter of CompressedELSA at a time; print what it does to quality."""

import argparse
import time

import numpy as np
from _data import DATASETS, split_dataset

from sksparse_rec import CompressedELSA
from sksparse_rec.metrics import ndcg_at_k

VARIATIONS = (
    {},
    {"n_nonzero_start": 32},
    {"n_nonzero_start": 64},
    {"n_nonzero_start": 128},
    {"pruning": "linear"},
    {"pruning": "constant"},
    {"pruning_share": 0.3},
    {"pruning_share": 0.9},
    {"rewind": True},
    {"max_iter": 4},
    {"max_iter": 6},
    {"max_iter": 20},
    {"batch_size": 256},
    {"batch_size": 1024},
    {"learning_rate": 0.03},
    {"learning_rate": 0.3},
    {"learning_rate_decay": False},
    {"dropout": 0.2},
    {"user_weighting": 0.0},
    {"user_weighting": 1.0},
    {"n_components": 512},
    {"n_components": 2048},
    {"n_nonzero": 256},
    {"n_nonzero": 256, "n_nonzero_start": 384},
    {"n_nonzero": 256, "n_nonzero_start": 768},
)


def main():
    """Print one line for each variation: mean nDCG@100 over seeds and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--n-jobs", type=int, default=1)
    options = parser.parse_args()
    X = DATASETS[options.dataset].load()
    splits = [(seed, *split_dataset(X, seed)) for seed in options.seeds]
    for parameters in VARIATIONS:
        scores, started = [], time.perf_counter()
        for seed, train, history, targets in splits:
            model = CompressedELSA(
                random_state=seed, n_jobs=options.n_jobs, **parameters
            ).fit(train)
            scores.append(ndcg_at_k(targets, model.recommend(history, k=100)))
        seconds = (time.perf_counter() - started) / len(splits)
        label = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
        print(
            f"{label or 'default':<38}{np.mean(scores):.4f} ± {np.std(scores):.4f}"
            f"{seconds:8.1f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
