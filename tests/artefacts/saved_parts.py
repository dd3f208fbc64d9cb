"""A saved model in parts, to be changed and written again, with right digests.

Written from the description of the format in docs/model_format.md, without the package:
whoever makes a hostile file does not use it either.
"""

import hashlib
import json
import math
import struct

START = b'{\n "digest": "'
# By the letters of struct, what the manifest and what the header call them.
DTYPES = {
    "B": ("uint8", "U8"),
    "H": ("uint16", "U16"),
    "i": ("int32", "I32"),
    "q": ("int64", "I64"),
    "f": ("float32", "F32"),
    "d": ("float64", "F64"),
}
WIDTHS = {"BOOL": 1, "U8": 1, "F8_E4M3": 1, "U16": 2, "I32": 4, "F32": 4}
WIDTHS |= {"I64": 8, "F64": 8}


def edit(name, format_, **places):
    """Return a change of some values of an array; ``_3=1`` sets that at 3 to 1."""

    def change(saved):
        values = saved.values(name, format_)
        for place, value in places.items():
            values[int(place.strip("_"))] = value
        saved.put(name, format_, values)

    return change


class Saved:
    """The parts of a saved model, to be changed before they are written."""

    def __init__(self, folder):
        self.manifest = json.loads((folder / "manifest.json").read_bytes())
        del self.manifest["digest"]
        ((name, self.file),) = self.manifest["files"].items()
        data = (folder / name).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        self.header = json.loads(data[8 : 8 + length])
        self.body = bytearray(data[8 + length :])
        # What the manifest is to say in place of the truth.
        self.name, self.lies = None, {}

    @property
    def content(self):
        return self.manifest["content"]

    @property
    def parameters(self):
        return self.content["parameters"]

    @property
    def fitted(self):
        return self.content["fitted"]

    def put(self, name, format_, values, shape=None):
        """Set an array; its header and its entry in the manifest follow."""
        dtype, code = DTYPES[format_]
        packed = struct.pack(f"<{len(values)}{format_}", *values)
        shape = shape or self.file["arrays"].get(name, {"shape": None})["shape"]
        if shape is None or math.prod(shape) != len(values):
            shape = [len(values)]
        bodies = self.bodies()
        bodies[name] = (code, shape, packed)
        self.file["arrays"][name] = {"dtype": dtype, "shape": shape}
        self.arrange(bodies)

    def drop(self, name):
        """Remove an array from the file and the manifest."""
        bodies = self.bodies()
        del bodies[name], self.file["arrays"][name]
        self.arrange(bodies)

    def values(self, name, format_):
        """Return the numbers of an array."""
        start, end = self.header[name]["data_offsets"]
        n = (end - start) // struct.calcsize(format_)
        return list(struct.unpack(f"<{n}{format_}", self.body[start:end]))

    def bodies(self):
        """Return the dtype, the shape and the bytes of every array."""
        return {
            name: (
                entry["dtype"],
                entry["shape"],
                bytes(self.body[slice(*entry["data_offsets"])]),
            )
            for name, entry in self.header.items()
        }

    def arrange(self, bodies):
        """Lay arrays out one after the other."""
        self.header, self.body = {}, bytearray()
        # Wide types first, so that all are aligned.
        order = sorted(bodies, key=lambda name: (-WIDTHS[bodies[name][0]], name))
        for name in order:
            dtype, shape, data = bodies[name]
            offsets = [len(self.body), len(self.body) + len(data)]
            self.header[name] = {
                "dtype": dtype,
                "shape": shape,
                "data_offsets": offsets,
            }
            self.body += data

    def array_bytes(self):
        """Return what the file of arrays consists of."""
        header = json.dumps(self.header, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        return struct.pack("<Q", len(header)) + header + bytes(self.body)

    def write(self, folder, data=None, text=None):
        """Write the folder; ``data`` and ``text`` are other arrays and manifests."""
        folder.mkdir(parents=True)
        data = self.array_bytes() if data is None else data
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"arrays-{sha256[:16]}.safetensors"
        (folder / name).write_bytes(data)
        entry = {"size": len(data), "sha256": sha256} | {"arrays": self.file["arrays"]}
        if self.name is not None:
            name = self.name
        self.manifest["files"] = {name: entry | self.lies}
        if text is None:
            text = json.dumps(self.manifest, indent=1)[1:]
        (folder / "manifest.json").write_bytes(signed(text))


def signed(text):
    """Return a manifest with its digest, from all that comes after it."""
    rest = b'",' + text.encode() + b"\n"
    return START + hashlib.sha256(rest).hexdigest().encode() + rest


def registry():
    """Return a dictionary of cases, and two ways to add one.

    A case is what the error has to say, and a function that makes the folder from the
    parts of a saved model.
    """
    cases = {}

    def hostile(reason):
        def register(make):
            cases[make.__name__.replace("_", "-")] = (reason, make)
            return make

        return register

    def changed(reason, name, change):
        def make(folder, saved):
            change(saved)
            saved.write(folder)

        cases[name] = (reason, make)

    return cases, hostile, changed
