"""What a training takes from around it: a seed, threads."""

import secrets
from threading import current_thread, main_thread

from joblib import cpu_count, effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils import check_random_state

from sksparse_rec._numerics.threads import n_parts

# Multiplications of a step below which a second thread costs more than it brings.
WORTH_THREADS = 10**8


def draw_seed(random_state):
    """Return a seed; numpy's global generator is left alone, also with None."""
    if random_state is None:
        return secrets.randbits(31)
    return int(check_random_state(random_state).randint(2**31 - 1))


def thread_count_for(n_jobs, work):
    """Return the threads of a training whose steps are ``work`` multiplications."""
    if n_jobs is not None:
        return effective_n_jobs(n_jobs)
    if work <= WORTH_THREADS:
        return 1
    # joblib limits the threads of its worker processes, but its worker threads would
    # all take every core.
    if get_active_backend()[0].nesting_level > 0 and (
        current_thread() is not main_thread() or n_parts() >= cpu_count()
    ):
        return 1
    return n_parts()
