"""A disk that misbehaves: builds and steers shim/disk.c."""
import mmap
import os
import shutil
import struct
import subprocess

import pytest

from .util import ROOT

SOURCE = os.path.join(ROOT, "tests", "system", "shim", "disk.c")
FIELDS = ("write_errno", "sync_errno", "allocate_errno", "hang_write", "hang_sync", "shadow", "writes", "syncs",
          "failed_syncs")


class Disk:
    """Its fields are read and set as attributes; env is what the program is started with."""

    def __init__(self, directory, log):
        compiler = shutil.which("gcc") or shutil.which("cc")
        if not compiler:
            pytest.skip("no C compiler")
        library = os.path.join(directory, "disk.so")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", library, SOURCE, "-lpthread"], check=True)
        control = os.path.join(directory, "disk.control")
        with open(control, "wb") as f:
            f.write(bytes(4096))
        with open(control, "r+b") as f:
            object.__setattr__(self, "map", mmap.mmap(f.fileno(), 4096))
        options = os.environ.get("ASAN_OPTIONS")
        object.__setattr__(self, "env", {
            "LD_PRELOAD": library, "SHIM_FILE": log, "SHIM_CONTROL": control,
            "ASAN_OPTIONS": ":".join(x for x in (options, "verify_asan_link_order=0") if x)})

    def __getattr__(self, name):
        return struct.unpack_from("i", self.map, 4 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("i", self.map, 4 * FIELDS.index(name), int(value))
