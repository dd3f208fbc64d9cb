"""Where the tensors live: devices, generators, threads, copies from and to the host.

These are the only functions whose result depends on the kind of device, so a test that
checks device code without the device replaces this module and nothing else.
"""

import numpy as np
import scipy.sparse as sp
import torch


def resolve_device(device):
    """Return the ``torch.device`` that ``"auto"``, ``"cpu"``, ``"cuda"``... names.

    ``"auto"`` is CUDA where there is one and the CPU otherwise.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = device
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device={name!r} is none that torch knows: pass 'auto', 'cpu' or 'cuda'"
        ) from error
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if device.type not in present:
        raise ValueError(
            f"device={name!r} is not supported: pass 'auto', 'cpu', 'cuda' or 'mps'"
        )
    if not present[device.type]:
        raise ValueError(
            f"device={str(device)!r}, but torch finds no {device.type.upper()} device "
            "here: install a build of torch that has it, or pass device='auto'"
        )
    return device


def has_bfloat16(device):
    """Tell whether a device multiplies matrices of bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    # Names without a promise: a torch that lacks them goes without bfloat16.
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def has_room(device, n_bytes):
    """Tell whether so much takes at most half of the memory that a GPU has free."""
    return device.type == "cuda" and 2 * n_bytes <= torch.cuda.mem_get_info(device)[0]


def make_generator(seed):
    """Return a generator of its own; torch's global one stays untouched.

    It lives on the CPU whatever the device, so that a seed gives the same anchors,
    batches and samples everywhere.
    """
    return torch.Generator(device="cpu").manual_seed(seed)


def copy_generator(generator):
    """Return a generator that draws what this one would draw next."""
    return torch.Generator(device="cpu").set_state(generator.get_state())


def generator_state(generator):
    """Return the state of a generator as an array of bytes."""
    return generator.get_state().numpy()


def restore_generator(generator, state):
    """Set a generator to what ``generator_state`` returned."""
    generator.set_state(torch.from_numpy(state))


def to_device(array, device, dtype=None):
    """Copy a numpy array to a device; on the CPU the memory is shared if it can be."""
    array = np.ascontiguousarray(array)
    if not array.flags.writeable:
        # joblib hands large arrays to its workers as read-only memory maps, and torch
        # has no read-only tensors.
        array = array.copy()
    return torch.as_tensor(array, dtype=dtype, device=device)


def to_numpy(tensor):
    """Copy a tensor to the host."""
    return tensor.detach().cpu().numpy()


def to_csr(values, columns, live, n_components):
    """Build the CSR array of row-sparse tensors, leaving padding and zeros out.

    ``values`` and ``columns`` are (n_rows, n_nonzero), ``live`` is a mask of the same
    shape or None.
    """
    values, columns = to_numpy(values), to_numpy(columns)
    stored = values != 0 if live is None else (values != 0) & to_numpy(live)
    indptr = np.concatenate([[0], np.cumsum(stored.sum(axis=1))])
    # scipy widens both where one is int64.
    dtype = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
    matrix = sp.csr_array(
        (values[stored], columns[stored].astype(dtype), indptr.astype(dtype)),
        shape=(len(values), n_components),
    )
    matrix.sort_indices()
    return matrix
