"""The format of saved folders: arrays, JSON and a manifest; see docs/model_format.md.

`write_folder` and `read_folder` are the whole interface: arrays by name and a
dictionary for JSON go into a folder and come back, in memory or mapped. The rest turns
names of items into arrays, and checks arrays before they are used as positions.
"""

from sksparse_rec._format._errors import PersistenceError
from sksparse_rec._format._folder import Folder, read_folder, write_folder
from sksparse_rec._format._matrices import check_csr
from sksparse_rec._format._names import check_names, pack_names, unpack_names
from sksparse_rec._format._tensors import DTYPES

__all__ = [
    "DTYPES",
    "Folder",
    "PersistenceError",
    "check_csr",
    "check_names",
    "pack_names",
    "read_folder",
    "unpack_names",
    "write_folder",
]
