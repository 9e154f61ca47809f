#!/usr/bin/env python3
"""Makes the files of this folder with real sops: make.py FOLDER-OF-SOPS-AND-AGE.

The keys are new each time and worth nothing. waxseal takes no part. Python's `cryptography` makes
the two files that no sops of today writes.
"""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PEERS = pathlib.Path(sys.argv[1]).resolve()
HERE = pathlib.Path(__file__).resolve().parent
FOLDER = tempfile.TemporaryDirectory()

EVERY = """\
# head of the file

# head of the first key
string: one # behind a value
# between keys
quoted: "true"
single: 'it''s'
escapes: "tab\\tand \\u00e9"
empty: ""
null_value: null
tilde: ~
nothing:
bool: true
other_bool: False
int: 42
octal: 017
hex: 0x1F
negative: -7
float: 1.50
exponent: 1e3
infinite: .inf
date: 2024-01-02
time: 2024-01-02T03:04:05.5+01:00
literal: |
    two
    lines
folded: >-
    folded
    text

    here
empty_map: {}
empty_list: []
map: # behind a key
    # first in a map
    inner: x
    deep:
        deeper: {flow: [1, two, {three: 3}]}
    # last in a map
list:
    - one
    - k: v
      m: w
    - [a, b]
    - null
    - ""
    - - nested
anchor: &anchor
    a: 1
    b: two
alias: *anchor
merged:
    <<: *anchor
    c: three
plain_unencrypted: open
tree_unencrypted:
    x: 1.0
    y: [true, null]
"key: with colon": v
"\\u00fcmlaut": w
# end of the file
"""

OBJECT = """\
{
\t"string": "one",
\t"escapes": "\\u00e9 \\n \\" </x>",
\t"empty": "",
\t"null": null,
\t"true": true,
\t"int": 42,
\t"minus": -0,
\t"large": 12345678901234567890,
\t"float": 1.50,
\t"exponent": 1e3,
\t"map": {"a": {}, "b": [], "c": [[1, "x"], {"d": null}]},
\t"open_unencrypted": {"x": 1.0, "y": ["z"]},
\t"twice": "a",
\t"sealed_secret": "s"
}
"""

RULED = """\
# seal
password: one
open: two
map_secret:
    # seal
    a: three
    b: [1, 2.5]
plain:
    password: four
    other: five # seal
"""

DOCUMENTS = """\
# first
a: one
---
# second
a: two
list: [1, 2]
---
b: {c: null}
"""

TOML = '# a comment\n[table]\nkey = "value"\nwhen = 2024-01-02\n'

RULES = [
    ("unencrypted-suffix", "n"),
    ("encrypted-suffix", "_secret"),
    ("unencrypted-regex", "^(open|other)$"),
    ("encrypted-regex", "^pass"),
    ("unencrypted-comment-regex", "seal"),
    ("encrypted-comment-regex", "seal"),
]


def run(program, *words, **options):
    done = subprocess.run(
        [PEERS / program if (PEERS / program).exists() else program, *words],
        check=True, capture_output=True, **options)
    return done.stdout


def sops(name, text, suffix, *flags):
    """Seals a text and writes it and what it was made of."""
    plain = pathlib.Path(FOLDER.name) / f"plain.{suffix}"
    plain.write_text(text)
    env = {"HOME": FOLDER.name, "SOPS_DISABLE_VERSION_CHECK": "true"}
    sealed = run("sops", "--encrypt", *flags, plain, env=env, cwd=FOLDER.name)
    (HERE / f"{name}.{suffix}").write_bytes(sealed)
    (HERE / f"{name}.{suffix}.plain").write_text(text)


def token(key, path, kind, plain, nonce_length):
    nonce = os.urandom(nonce_length)
    seal = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    seal.authenticate_additional_data(path.encode())
    data = seal.update(plain) + seal.finalize()
    parts = [base64.b64encode(part).decode() for part in (data, nonce, seal.tag)]
    return "ENC[AES256_GCM,data:%s,iv:%s,tag:%s,type:%s]" % (*parts, kind)


def old(recipient):
    """Of the shape that sops 1.13, in Python, and the first ones in Go wrote."""
    key = os.urandom(32)
    wrapped = run("age", "-r", recipient, "--armor", input=key).decode()
    time = "2017-01-02T03:04:05Z"
    values = [("name", "str", b"one", 32), ("bytes", "bytes", b"raw", 32),
              ("count", "int", b"7", 12), ("ratio", "float", b"1.5", 16), ("on", "bool", b"True", 32)]
    digest = hashlib.sha512(b"".join(plain for _, _, plain, _ in values)).hexdigest().upper()
    mac = token(key, time, "str", digest.encode(), 32)
    tokens = {name: token(key, name + ":", kind, plain, length)
              for name, kind, plain, length in values}
    plain = 'name: one\nbytes: raw\ncount: 7\nratio: 1.5\n"on": true\n'
    indented = "".join(f"            {line}\n" for line in wrapped.splitlines())
    yaml = "".join(f'"{name}": |-\n    {text}\n' for name, text in tokens.items()) + f"""\
sops:
    attention: This section contains key material that should only be modified with
        extra care. See `sops -h`.
    kms: []
    pgp:
    age:
    -   created_at: '2017-01-01T00:00:00Z'
        enc: |
{indented}        recipient: {recipient}
    lastmodified: '{time}'
    mac: {mac}
    unencrypted_suffix: _unencrypted
    version: '1.13'
"""
    (HERE / "old.yaml").write_text(yaml)
    (HERE / "old.yaml.plain").write_text(plain)
    block = {"attention": "...", "kms": None, "gcp_kms": None, "azure_kv": None, "hc_vault": None,
             "age": [{"recipient": recipient, "enc": wrapped}], "lastmodified": time, "mac": mac,
             "pgp": None, "unencrypted_suffix": "_unencrypted", "version": "3.5.0"}
    (HERE / "old.json").write_text(json.dumps({**tokens, "sops": block}, indent=4))
    (HERE / "old.json.plain").write_text(
        '{"name": "one", "bytes": "raw", "count": 7, "ratio": 1.5, "on": true}\n')


def main():
    for file in HERE.iterdir():
        if file.name != "make.py":
            file.unlink()
    recipients = []
    for name in ("keys.txt", "second.txt"):
        run("age-keygen", "-o", HERE / name)
        recipients.append(run("age-keygen", "-y", HERE / name).decode().strip())
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "throwaway", "-f", HERE / "id_ed25519")
    first, second = (("--age", it) for it in recipients)
    ssh = (HERE / "id_ed25519.pub").read_text().strip()
    sops("every", EVERY, "yaml", *first)
    sops("every", OBJECT, "json", *first)
    sops("two", "a: one\n", "yaml", "--age", ",".join(recipients))
    sops("second", "a: one\n", "yaml", *second)
    sops("ssh", "a: one\n", "yaml", "--age", ssh)
    sops("documents", DOCUMENTS, "yaml", *first)
    sops("envelope", TOML, "toml", *first)
    for field, text in RULES:
        sops(field, RULED, "yaml", *first, f"--{field}", text)
        if "comment" not in field:
            sops(field, OBJECT, "json", *first, f"--{field}", text)
    sops("mac-only", RULED, "yaml", *first, "--encrypted-regex", "^pass", "--mac-only-encrypted")
    sops("mac-only", OBJECT, "json", *first, "--mac-only-encrypted")
    old(recipients[0])


main()
