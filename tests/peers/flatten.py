"""Collects the YAML, TOML and JSON files of packages into flat folders.

usage: flatten.py OUT <sources

Each line of standard input names a package, its version and where it lies (a
wheel, an npm tarball or a folder), parted by tabs. The files go to
OUT/{yaml,toml,json}/NNNN-NAME; OUT/INDEX.tsv says where each came from: file,
path in the package, package, version.
"""

import hashlib
import re
import sys
import tarfile
import zipfile
from pathlib import Path

KINDS = {".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".json": "json"}
MAX_BYTES = 1 << 20


def kind_of(path):
    # The manifest as its author wrote it; the Cargo.toml beside it is generated.
    if path.endswith("Cargo.toml.orig"):
        return "toml"
    # Nothing but a commit hash, in every crate.
    if path.endswith(".cargo_vcs_info.json"):
        return None
    return KINDS.get(Path(path).suffix)


def wheel(source):
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if kind_of(name):
                yield name, archive.read(name)


def tarball(source):
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and kind_of(member.name):
                # npm puts everything in one folder.
                yield member.name.split("/", 1)[1], archive.extractfile(member).read()


def folder(source):
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink() and kind_of(path.name):
            yield path.relative_to(source).as_posix(), path.read_bytes()


def files_of(source):
    if source.is_dir():
        return folder(source)
    return wheel(source) if source.suffix == ".whl" else tarball(source)


def flat_name(number, kind, path):
    name = Path(path).name
    name = name[: -len(".toml.orig")] + ".orig" if name.endswith(".orig") else Path(name).stem
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:80]
    return f"{kind}/{number:04}-{name}.{kind}"


def main():
    out = Path(sys.argv[1])
    for kind in set(KINDS.values()):
        (out / kind).mkdir(parents=True)
    sources = sorted({tuple(line.rstrip("\n").split("\t")) for line in sys.stdin})
    counts = dict.fromkeys(KINDS.values(), 0)
    seen = set()
    with open(out / "INDEX.tsv", "w", encoding="utf-8", newline="\n") as index:
        for package, version, source in sources:
            for path, data in sorted(files_of(Path(source))):
                digest = hashlib.sha256(data).digest()
                if len(data) > MAX_BYTES or digest in seen:
                    continue
                seen.add(digest)
                kind = kind_of(path)
                counts[kind] += 1
                name = flat_name(counts[kind], kind, path)
                (out / name).write_bytes(data)
                index.write("\t".join((name, path, package, version)) + "\n")


main()
