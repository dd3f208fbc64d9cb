"""Make the bundled data set of ``sksparse_rec.datasets.load_debian``.

Reads the index of binary packages (``Packages``) of Debian 12 "bookworm", section
``main``, architecture ``amd64``, which ``apt-get update`` leaves on every Debian 12
machine, and writes

- a row for each source package,
- a column for each binary package that others depend on,
- a one where any binary package of the source names the column in ``Pre-Depends``,
  ``Depends``, ``Recommends`` or ``Suggests``,
- the archive section and the debtags of every column.

Of alternatives ``a | b`` the first counts. Versions, architectures and a source's own
binary packages are left out, and so are virtual and unknown names. Rows with fewer
than 5 ones and columns with fewer than 5 ones are dropped until none is left.
Placeholder tags (``works-with::TODO``) are dropped: they say that a tag is missing.

The file holds names, sections, tags and dependencies: facts, no descriptions. The same
index gives the same bytes. The script prints the shape and the SHA-256, which belong
into ``sksparse_rec/datasets/descr/debian.rst`` and ``tests/datasets/test_debian.py``.

    python docs/make_debian.py
    python docs/make_debian.py --packages Packages.xz --output debian.npz
"""

import argparse
import gzip
import hashlib
import lzma
import re
import subprocess
from pathlib import Path

import numpy as np

APT_LISTS = Path("/var/lib/apt/lists")
INDEX = "*_dists_bookworm_main_binary-amd64_Packages*"
OUTPUT = Path(__file__).parents[1] / "sksparse_rec/datasets/data/debian.npz"
RELATIONS = ("Pre-Depends", "Depends", "Recommends", "Suggests")
MIN_ONES = 5


def find_index():
    """Return the index that apt left on this machine."""
    found = sorted(APT_LISTS.glob(INDEX))
    if len(found) != 1:
        raise SystemExit(
            f"{len(found)} files match {APT_LISTS / INDEX}; "
            "run apt-get update on Debian 12, or pass --packages."
        )
    return found[0]


def read_index(path):
    """Return the decompressed index as bytes."""
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".lz4":
        # apt's own reader: the standard library has none for lz4.
        command = ["/usr/lib/apt/apt-helper", "cat-file", str(path)]
        return subprocess.run(command, capture_output=True, check=True).stdout
    return path.read_bytes()


def parse_stanzas(text):
    """Yield one dict of fields for each binary package."""
    for stanza in text.split("\n\n"):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        fields = dict(
            line.split(": ", 1) for line in unfolded.splitlines() if ": " in line
        )
        if fields:
            yield fields


def first_alternatives(relation):
    """Return the names that a relation field asks for, first alternatives only."""
    groups = (group.split("|")[0].strip() for group in relation.split(","))
    return [re.split(r"[\s(\[:<]", group)[0] for group in groups if group]


def collect(stanzas):
    """Return the pairs (source, package), and the section and tags of packages."""
    binaries = {fields["Package"]: fields for fields in stanzas}
    source_of = {
        name: fields.get("Source", name).split()[0] for name, fields in binaries.items()
    }
    pairs = {
        (source_of[name], wanted)
        for name, fields in binaries.items()
        for relation in RELATIONS
        for wanted in first_alternatives(fields.get(relation, ""))
        if wanted in binaries and source_of[wanted] != source_of[name]
    }
    sections = {name: fields["Section"] for name, fields in binaries.items()}
    tags = {
        name: [
            tag
            for tag in re.split(r",\s*", fields.get("Tag", ""))
            if tag and not tag.endswith("TODO")
        ]
        for name, fields in binaries.items()
    }
    return pairs, sections, tags


def keep_core(pairs):
    """Drop sparse rows and columns until every one has MIN_ONES pairs."""
    pairs = np.array(sorted(pairs))
    while True:
        _, row, n_row = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
        _, col, n_col = np.unique(pairs[:, 1], return_inverse=True, return_counts=True)
        keep = (n_row[row] >= MIN_ONES) & (n_col[col] >= MIN_ONES)
        if keep.all():
            return pairs
        pairs = pairs[keep]


def pack(pairs, sections, tags):
    """Return the arrays of the bundled file; none needs pickle to load."""
    users, user = np.unique(pairs[:, 0], return_inverse=True)
    items, item = np.unique(pairs[:, 1], return_inverse=True)
    order = np.lexsort((item, user))
    tag_names = sorted({tag for name in items for tag in tags[name]})
    tag_codes = {tag: code for code, tag in enumerate(tag_names)}
    item_tags = [sorted({tag_codes[tag] for tag in tags[name]}) for name in items]
    # Row lengths instead of row pointers, and 16 bits, for the sake of the size.
    return {
        "row_lengths": np.bincount(user).astype(np.uint16),
        "indices": item[order].astype(np.uint16),
        "user_ids": users.astype("S"),
        "item_ids": items.astype("S"),
        "item_sections": np.array([sections[name] for name in items], dtype="S"),
        "tag_row_lengths": np.array([len(row) for row in item_tags], dtype=np.uint16),
        "tag_indices": np.concatenate(item_tags).astype(np.uint16),
        "tag_names": np.array(tag_names, dtype="S"),
    }


def main():
    """Read the command line, write the file, print what belongs into the docs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--packages", type=Path, help="index file (plain, .xz, .gz, .lz4)"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    raw = read_index(arguments.packages or find_index())
    pairs, sections, tags = collect(parse_stanzas(raw.decode()))
    arrays = pack(keep_core(pairs), sections, tags)
    np.savez_compressed(arguments.output, **arrays)
    written = arguments.output.read_bytes()
    print("index SHA-256 ", hashlib.sha256(raw).hexdigest())
    print("file SHA-256  ", hashlib.sha256(written).hexdigest())
    print("bytes         ", len(written))
    print("shape         ", (arrays["user_ids"].size, arrays["item_ids"].size))
    print("ones          ", arrays["indices"].size)
    print("tags          ", arrays["tag_names"].size, arrays["tag_indices"].size)
    print("tagged items  ", np.count_nonzero(arrays["tag_row_lengths"]))
    print("sections      ", np.unique(arrays["item_sections"]).size)


if __name__ == "__main__":
    main()
