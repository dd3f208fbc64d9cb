"""A grid search over n_nonzero on MovieLens-1M, by scikit-learn's own GridSearchCV."""

import argparse
import time

import torch
from _data import DATASETS
from sklearn.model_selection import GridSearchCV

from sksparse_rec import CompressedELSA

N_NONZERO = [8, 16, 32, 64]
COLUMNS = ("mean_test_score", "std_test_score", "mean_fit_time", "std_fit_time")


def main():
    """Search, and print scores and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=DATASETS, default="ml-1m")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X = DATASETS[args.dataset].load()
    search = GridSearchCV(
        CompressedELSA(random_state=0), {"n_nonzero": N_NONZERO}, cv=3
    )
    start = time.perf_counter()
    search.fit(X)
    seconds = time.perf_counter() - start
    print("n_nonzero  " + "  ".join(f"{name:>15}" for name in COLUMNS))
    for row, n_nonzero in enumerate(search.cv_results_["param_n_nonzero"]):
        values = (f"{search.cv_results_[name][row]:15.4f}" for name in COLUMNS)
        print(f"{n_nonzero:9}  " + "  ".join(values))
    print(f"best: {search.best_params_}, {search.best_score_:.4f}; {seconds:.1f} s")


if __name__ == "__main__":
    main()
