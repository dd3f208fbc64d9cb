"""Products of row-sparse matrices in plain torch, on any device.

``A`` is a ``rows.SparseRows`` of shape (n_items, m); the adjoints are computed at its
pattern only, so of n_items × m no more than a block of rows is made at a time.
``products_numba`` has the same functions for the CPU.
"""

import torch
from torch.nn.functional import embedding_bag

# Entries of a temporary: small enough for the caches of a core or two, and large
# enough that the overhead of an operation does not show.
BLOCK_ENTRIES = 1 << 19
# An accelerator has no such caches, and needs work enough for all of it.
DEVICE_BLOCK_ENTRIES = 1 << 26
# Sums over contiguous rows that take as long as one look-up at random.
LOOK_UP, DEVICE_LOOK_UP = 32, 8
# Components of a row for each entry of it, up to which a dense product is faster than
# ``gram`` and ``gram_adjoint`` by pairs of entries: in full precision, and in bfloat16.
# On an H100 pairs take 50 to 70 a nanosecond, a dense product 46 TFLOP/s, and 190 in
# bfloat16; its look-ups are faster than any dense product in full precision.
SCATTER, GATHER = (12, 12), (7, 7)
DEVICE_SCATTER, DEVICE_GATHER = (20, 40), (0, 40)


def unit_rows(values):
    """Return ``values`` with rows of unit length, and the lengths (n_rows, 1).

    Zero rows stay zero; their length is given as 1.
    """
    norms = torch.linalg.vector_norm(values, dim=1, keepdim=True)
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    return values / norms, norms


def tangent_(gradient, directions, norms):
    """Turn a gradient at unit rows into the gradient at the raw rows, in place.

    For ``a = p / ‖p‖`` it is ``(g − ⟨g, a⟩ a) / ‖p‖``.
    """
    along = (gradient * directions).sum(dim=1, keepdim=True)
    return gradient.addcmul_(along, directions, value=-1).div_(norms)


def descend_(optimizer, values, gradient, units, norms, learning_rate):
    """Take a step of NAdam along the gradient at the unit rows, in place."""
    optimizer.step_(values, tangent_(gradient, units, norms), learning_rate)


def step_(optimizer, values, gradient, learning_rate):
    """Take a step of NAdam, in place; ``gradient`` is used up."""
    optimizer.step_(values, gradient, learning_rate)


def blocks(n_rows, entries_per_row, device):
    """Yield slices of rows whose temporaries are of the best size for a device."""
    n_entries = BLOCK_ENTRIES if device.type == "cpu" else DEVICE_BLOCK_ENTRIES
    step = max(1, n_entries // max(1, entries_per_row))
    for start in range(0, n_rows, step):
        yield slice(start, start + step)


def profiles(rows, batch):
    """Return ``U = X A``, shape (n_users, m): scatters each interaction's row."""
    m = rows.n_components
    U = rows.values.new_zeros(batch.n_users * m)
    for part in blocks(len(batch.items), rows.width, U.device):
        users, items = batch.users[part], batch.items[part]
        target = rows.columns[items] + (users * m)[:, None]
        share = rows.values[items] * batch.values[part][:, None]
        U.scatter_add_(0, target.view(-1), share.view(-1))
    return U.view(batch.n_users, m)


def profiles_adjoint(rows, batch, dU, gradient):
    """Add ``Xᵀ dU`` at the pattern: visits the batch's interactions only."""
    m, n_nonzero = rows.n_components, rows.width
    flat = dU.reshape(-1)
    for part in blocks(len(batch.items), n_nonzero, dU.device):
        users, items = batch.users[part], batch.items[part]
        source = rows.columns[items] + (users * m)[:, None]
        share = flat[source.view(-1)].view(-1, n_nonzero)
        gradient.index_add_(0, items, share.mul_(batch.values[part][:, None]))


def gram(rows):
    """Return ``G = Aᵀ A``, shape (m, m), from the pairs of every row."""
    m = rows.n_components
    G = rows.values.new_zeros(m * m)
    for part in blocks(len(rows.values), rows.width**2, G.device):
        columns, values = rows.columns[part].long(), rows.values[part]
        pairs = (columns * m)[:, :, None] + columns[:, None, :]
        products = values[:, :, None] * values[:, None, :]
        G.scatter_add_(0, pairs.view(-1), products.view(-1))
    return G.view(m, m)


def gram_adjoint(rows, H):
    """Return ``A H`` at the pattern for a symmetric ``H``.

    By sums of whole rows where those are long, else by look-ups.
    """
    m, n_nonzero = rows.n_components, rows.width
    gradient = torch.empty_like(rows.values)
    look_up = LOOK_UP if H.device.type == "cpu" else DEVICE_LOOK_UP
    if m <= look_up * n_nonzero:
        for part in blocks(len(rows.values), m, H.device):
            columns, values = rows.columns[part], rows.values[part]
            products = embedding_bag(columns, H, per_sample_weights=values, mode="sum")
            gradient[part] = products.gather(1, columns.long())
        return gradient
    flat = H.reshape(-1)
    for part in blocks(len(rows.values), n_nonzero**2, H.device):
        columns = rows.columns[part].long()
        pairs = (columns * m)[:, :, None] + columns[:, None, :]
        looked_up = flat.index_select(0, pairs.view(-1))
        looked_up = looked_up.view(-1, n_nonzero, n_nonzero)
        gradient[part] = torch.bmm(looked_up, rows.values[part][:, :, None])[..., 0]
    return gradient


def whole_rows(rows, part):
    """Return some rows with all of their zeros, in bfloat16 if ``rows.half``."""
    values, columns = rows.values[part], rows.columns[part].long()
    block = values.new_zeros(len(values), rows.n_components)
    # Adding, as padding shares column 0 with what is stored there.
    block.scatter_add_(1, columns, values)
    return block.bfloat16() if rows.half else block


def at_pattern(rows, part, whole, gradient):
    """Write what some whole rows have at the pattern into a gradient."""
    gradient[part] = whole.gather(1, rows.columns[part].long())


def mirror_(G):
    """Copy what is above the diagonal below it; return ``G``."""
    return G.triu_().add_(G.triu(1).T)


def cosines_(U, UG, x_squared):
    """Return cosines of histories with their predictions, and gradients of the loss.

    By the formulas of ``losses.gram_loss``.

    Parameters
    ----------
    U, UG : tensor of shape (n_users, m)
        Profiles, and their products with ``G = AᵀA``, which are used up.
    x_squared : tensor of shape (n_users,)
        ``‖x‖²``.

    Returns
    -------
    cosine : tensor of shape (n_users,)
        0 where ``x`` or ``y`` is zero.
    dU : tensor of shape (n_users, m)
        Gradient of the mean of ``2 − 2 cosine`` at the profiles.
    W : tensor of shape (n_users, m)
        ``UᵀW`` is its gradient at ``G``, times two.
    """
    u_squared = (U * U).sum(dim=1)
    dot = u_squared - x_squared
    # The three terms nearly cancel for a user whose prediction is nearly zero.
    y_squared = (U * UG).sum(dim=1) - 2 * u_squared + x_squared
    smallest = 64 * torch.finfo(U.dtype).eps * torch.maximum(u_squared, x_squared)
    defined = is_defined(x_squared, y_squared, smallest)
    x_norm, y_norm = safe_norms(x_squared, y_squared, defined)
    cosine = torch.where(defined, dot / (x_norm * y_norm), 0)
    # d cosine / d‖u‖² and d cosine / d(uGuᵀ), times −2 / n_users.
    factor = defined.to(U.dtype) * (-2.0 / len(U))
    by_gram = -0.5 * factor * cosine / y_norm.square()
    by_norm = factor / (x_norm * y_norm) - 2 * by_gram
    dU = UG.mul_(2 * by_gram[:, None]).addcmul_(2 * by_norm[:, None], U)
    return cosine, dU, (2 * by_gram)[:, None] * U


def is_defined(x_squared, y_squared, smallest):
    """Tell which users have a history and a prediction that is more than rounding."""
    # NaN counts as defined: it must reach the loss, where training notices it.
    return (x_squared != 0) & torch.logical_not(y_squared <= smallest)


def safe_norms(x_squared, y_squared, defined):
    """Return the square roots, and 1 where they mean nothing."""
    one = torch.ones_like(x_squared)
    return (
        torch.where(defined, x_squared, one).sqrt(),
        torch.where(defined, y_squared, one).sqrt(),
    )


def scores(rows, UT):
    """Return ``A Uᵀ``, shape (n_items, n_users), from ``UT`` (m, n_users)."""
    return embedding_bag(rows.columns, UT, per_sample_weights=rows.values, mode="sum")


def scores_adjoint(rows, UT, dYT):
    """Return ``dYᵀ U`` at the pattern, and ``Aᵀ dYᵀ`` (m, n_users)."""
    n_nonzero, n_users = rows.width, UT.shape[1]
    gradient = torch.empty_like(rows.values)
    for part in blocks(len(rows.values), n_nonzero * n_users, UT.device):
        columns = rows.columns[part].long()
        profiles = UT[columns.view(-1)].view(-1, n_nonzero, n_users)
        gradient[part] = torch.bmm(profiles, dYT[part][:, :, None])[..., 0]
    order, starts = rows.cached("by_latent", lambda: _by_latent(rows))
    dUT = embedding_bag(
        order // n_nonzero,
        dYT,
        starts,
        per_sample_weights=rows.values.view(-1)[order],
        mode="sum",
    )
    return gradient, dUT


def _by_latent(rows):
    """Order of the stored entries by latent, and where each latent starts."""
    flat = rows.columns.view(-1)
    order = torch.argsort(flat, stable=True)
    latents = torch.arange(rows.n_components, dtype=flat.dtype, device=flat.device)
    return order, torch.searchsorted(flat[order], latents)
