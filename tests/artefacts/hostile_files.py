"""Files that are damaged, lie about their sizes, or lead elsewhere."""

import json
import shutil
import struct

from saved_parts import registry

HUGE = 1 << 40
FILES, hostile, changed = registry()


# Damage


def _files(folder):
    (arrays,) = folder.glob("arrays-*")
    return arrays, folder / "manifest.json"


def _damaged(which, damage):
    def make(folder, saved):
        saved.write(folder)
        path = _files(folder)[which]
        path.write_bytes(damage(path.read_bytes()))

    return make


def _flip(data, place):
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


MISMATCH = r"bytes, and the manifest says \d+: the folder is damaged"
NOT_SIGNED = "does not have the digest that it gives: the folder is damaged"
FILES |= {
    "arrays-truncated": (MISMATCH, _damaged(0, lambda data: data[:-100])),
    "arrays-empty": (MISMATCH, _damaged(0, lambda data: b"")),
    "arrays-too-long": (MISMATCH, _damaged(0, lambda data: data + b"\0")),
    "arrays-bit-flipped": (
        "does not have the SHA-256 that the manifest gives",
        _damaged(0, lambda data: _flip(data, len(data) - 50)),
    ),
    "header-bit-flipped": (
        "does not have the SHA-256 that the manifest gives",
        _damaged(0, lambda data: _flip(data, 40)),
    ),
    "manifest-truncated": (
        r"manifest\.json cannot be read",
        _damaged(1, lambda data: data[:-100]),
    ),
    "manifest-empty": (r"cannot be read", _damaged(1, lambda data: b"")),
    "manifest-bit-flipped": (
        NOT_SIGNED,
        _damaged(1, lambda data: data.replace(b'"n_steps_": 2', b'"n_steps_": 3')),
    ),
    "manifest-edited": (
        NOT_SIGNED,
        _damaged(1, lambda data: data.replace(b'"device": "cpu"', b'"device": "gpu"')),
    ),
    "manifest-list": (
        r"manifest\.json holds no manifest",
        _damaged(1, lambda data: b"[]"),
    ),
    "manifest-of-zeros": ("cannot be read", _damaged(1, lambda data: bytes(len(data)))),
}


@hostile(r"arrays-\w+\.safetensors is missing")
def arrays_missing(folder, saved):
    saved.write(folder)
    _files(folder)[0].unlink()


# Manifests


def _manifest(**members):
    return lambda saved: saved.manifest.update(members)


for _name, _reason, _members in (
    ("version-2", "install a newer one", {"format_version": 2}),
    ("version-text", "no version of the format", {"format_version": "1"}),
    ("version-true", "no version of the format", {"format_version": True}),
    ("version-0", "no version of the format", {"format_version": 0}),
    ("other-format", "is no manifest of sksparse_rec", {"format": "elsa"}),
    ("class-unknown", "'system' is none of those that can be load", {"kind": "system"}),
    ("class-dotted", "is none of those", {"kind": "os.system"}),
    ("class-no-text", "kind in .* should be of type str", {"kind": ["CompressedELSA"]}),
    ("class-other", "no parameter 'calibration'", {"kind": "CompresSAE"}),
    ("content-list", "content in .* should be of type dict", {"content": []}),
    ("member-unknown", r"should have \['content'", {"__reduce__": "os.system"}),
):
    changed(_reason, _name, _manifest(**_members))


def _text(change):
    """Return a maker of a folder whose manifest is changed as text, and signed."""

    def make(folder, saved):
        saved.write(folder)
        text = json.dumps(saved.manifest, indent=1)[1:]
        other = change(text)
        assert other != text
        shutil.rmtree(folder)
        saved.write(folder, text=other)

    return make


def _replaced(old, new):
    return _text(lambda text: text.replace(old, new))


FILES |= {
    "name-repeated": (
        "'n_jobs' is there twice",
        _replaced('"n_jobs": null', '"n_jobs": null, "n_jobs": 3'),
    ),
    "number-nan": (
        "NaN is no number of JSON",
        _replaced('"dropout": 0.0', '"dropout": NaN'),
    ),
    "number-infinite": (
        "1e999 is too large a number",
        _replaced('"dropout": 0.0', '"dropout": 1e999'),
    ),
    "number-of-5000-digits": (
        "cannot be read",
        _replaced('"max_iter": 2', f'"max_iter": {"9" * 5000}'),
    ),
    "nested-deeply": (
        "nested too deeply",
        _replaced('"n_jobs": null', f'"n_jobs": {"[" * 50_000 + "]" * 50_000}'),
    ),
    "text-behind": ("cannot be read", _text(lambda text: f"{text} 0")),
}


@hostile("does not have the digest that it gives")
def spaces_before(folder, saved):
    saved.write(folder)
    path = _files(folder)[1]
    path.write_bytes(b" " + path.read_bytes())


# Paths


def _named(name):
    def change(saved):
        saved.name = name

    return change


for _name, _path in (
    ("path-parent", "../arrays-0000000000000000.safetensors"),
    ("path-absolute", "/etc/passwd"),
    ("path-folder", "deep/arrays-0000000000000000.safetensors"),
    ("path-windows", r"..\arrays-0000000000000000.safetensors"),
    ("path-null", "arrays-0000000000000000.safetensors\0"),
    ("path-other-script", "arrays-٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠.safetensors"),
    ("path-manifest", "manifest.json"),
    ("path-empty", ""),
):
    changed("names a file .* and files are called", _name, _named(_path))


# Sizes


def _lying(**lies):
    def change(saved):
        saved.lies = lies

    return change


changed("more than the .* raise max_bytes", "size-huge", _lying(size=1 << 60))
changed("no valid size and SHA-256", "size-negative", _lying(size=-1))
changed("should be of type int", "size-float", _lying(size=1500.0))
changed("no valid size and SHA-256", "digest-short", _lying(sha256="00"))

POPULARITY = "item_popularity_"


def _invalid(data):
    def make(folder, saved):
        saved.write(folder, data=data(saved))

    return ("is no valid safetensors file", make)


def _with_header(**entry):
    def data(saved):
        saved.header[POPULARITY] |= entry
        return saved.array_bytes()

    return data


def _and_manifest(**entry):
    """The same lie in the header and in the manifest."""

    def data(saved):
        saved.file["arrays"][POPULARITY] |= entry
        return _with_header(**entry)(saved)

    return data


FILES |= {
    "header-cut": _invalid(lambda saved: saved.array_bytes()[:100]),
    "header-7-bytes": _invalid(lambda saved: b"\0" * 7),
    "header-no-json": _invalid(lambda saved: struct.pack("<Q", 16) + b"x" * 24),
    "header-list": _invalid(lambda saved: struct.pack("<Q", 2) + b"[]"),
    "shape-huge": _invalid(_and_manifest(shape=[HUGE])),
    "shape-overflow": _invalid(_and_manifest(shape=[1 << 63, 1 << 63])),
    "shape-negative": _invalid(_and_manifest(shape=[-6])),
    "offsets-huge": _invalid(_with_header(data_offsets=[0, HUGE])),
    "offsets-overlap": _invalid(_with_header(data_offsets=[8, 56])),
    "offsets-backwards": _invalid(_with_header(data_offsets=[56, 8])),
    "body-cut": _invalid(lambda saved: saved.array_bytes()[:-8]),
    "body-gap": _invalid(lambda saved: saved.array_bytes() + bytes(8)),
}


@hostile("has a header of 1099511627776 bytes")
def header_huge(folder, saved):
    data = saved.array_bytes()
    saved.write(folder, data=struct.pack("<Q", HUGE) + data[8:])


@hostile("'F8_E4M3', which is not in use here")
def dtype_unknown(folder, saved):
    bodies = saved.bodies()
    bodies["extra"] = ("F8_E4M3", [3], b"\0\0\0")
    saved.arrange(bodies)
    saved.file["arrays"]["extra"] = {"dtype": "float8_e4m3", "shape": [3]}
    saved.write(folder)


@hostile("should have .*'dtype', 'shape'")
def array_without_shape(folder, saved):
    saved.file["arrays"][POPULARITY] = {"dtype": "int64"}
    saved.write(folder)


@hostile("the manifest says .*'shape': .3, 2.")
def shape_other_than_the_manifest(folder, saved):
    saved.file["arrays"][POPULARITY]["shape"] = [3, 2]
    saved.write(folder)
