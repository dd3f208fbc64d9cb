"""The code blocks of the guide are doctests."""

import torch

# As in tests/conftest.py: see "Why one thread" in docs/contributing.md.
torch.set_num_threads(1)
