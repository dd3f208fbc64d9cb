"""Make saved models and indexes that must not be loaded, out of three that may.

python tests/artefacts/make_hostile.py
"""

import json
import shutil
from copy import deepcopy
from pathlib import Path

from hostile_arrays import ARRAYS
from hostile_files import FILES
from hostile_index import INDEX
from hostile_steering import STEERING
from saved_parts import Saved

HERE = Path(__file__).parent
BASE = HERE / "format-1"


def make_all(folder):
    """Write all hostile folders, and what their errors have to say."""
    cases = {}
    for kind, of_kind in (
        ("CompressedELSA", FILES | ARRAYS),
        ("SparseIndex", INDEX),
        ("SteerableRecommender", STEERING),
    ):
        saved = Saved(BASE / kind)
        for name, (_, make) in of_kind.items():
            make(folder / name, deepcopy(saved))
        cases |= of_kind
    reasons = {name: reason for name, (reason, _) in cases.items()}
    text = json.dumps(reasons, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "reasons.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    shutil.rmtree(HERE / "hostile", ignore_errors=True)
    make_all(HERE / "hostile")
