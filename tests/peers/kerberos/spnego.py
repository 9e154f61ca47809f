"""spnego.py HTTP/HOST: prints a SPNEGO token for this service in base64, of whoever has run kinit."""

import base64
import ctypes
import sys


class Buffer(ctypes.Structure):
    _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]


class Oid(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_char_p)]


gss = ctypes.CDLL("libgssapi_krb5.so.2")
host_based = ctypes.c_void_p.in_dll(gss, "GSS_C_NT_HOSTBASED_SERVICE")
spnego = Oid(6, b"\x2b\x06\x01\x05\x05\x02")
text = ctypes.create_string_buffer(sys.argv[1].replace("/", "@", 1).encode())
text = Buffer(len(text) - 1, ctypes.cast(text, ctypes.c_void_p))
minor, name, context, token = ctypes.c_uint32(), ctypes.c_void_p(), ctypes.c_void_p(), Buffer()
by = ctypes.byref

if gss.gss_import_name(by(minor), by(text), host_based, by(name)) != 0:
    sys.exit("no name of a service")
status = gss.gss_init_sec_context(
    by(minor), None, by(context), name, by(spnego), 0, 0, None, None, None, by(token), None, None
)
# What is below the sixteenth bit is no error: it wants to see the answer, too.
if (status & 0xFFFF0000) != 0:
    sys.exit("no ticket for this service")
print(base64.b64encode(ctypes.string_at(token.value, token.length)).decode())
