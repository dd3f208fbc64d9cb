"""Make saved models that must not be loaded, out of one that may.

python tests/artefacts/make_hostile.py
"""

import json
import shutil
from copy import deepcopy
from pathlib import Path

from hostile_arrays import ARRAYS
from hostile_files import FILES
from saved_parts import Saved

HERE = Path(__file__).parent
BASE = HERE / "format-1" / "CompressedELSA"


def make_all(folder):
    """Write all hostile folders, and what their errors have to say."""
    saved = Saved(BASE)
    cases = FILES | ARRAYS
    for name, (_, make) in cases.items():
        make(folder / name, deepcopy(saved))
    reasons = {name: reason for name, (reason, _) in cases.items()}
    text = json.dumps(reasons, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "reasons.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    shutil.rmtree(HERE / "hostile", ignore_errors=True)
    make_all(HERE / "hostile")
