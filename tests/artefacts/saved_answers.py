"""Where what is saved in this version of the format lies, and what it answered."""

import json
from pathlib import Path

from sksparse_rec._format._manifest import VERSION

FOLDER = Path(__file__).parent / f"format-{VERSION}"


def write_answers(name, answers):
    """Write what saved models have to repeat, beside them."""
    text = json.dumps(answers, indent=1, ensure_ascii=False)
    (FOLDER / name).write_text(text + "\n", encoding="utf-8")
