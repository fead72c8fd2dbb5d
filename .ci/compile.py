"""Hatch's hook for a wheel whose hot modules are compiled by mypyc; `make compiled` turns it on.

Their sources stay in the wheel beside what is made of them, for tracebacks. It needs a C compiler,
Python's headers and the packages of requirements-compile.lock, and ends the build where one is
missing or a module can't be compiled. SIDEGATE_COMPILE_LEVEL is the compiler's level of
optimization: 2, or less for tests, which needn't wait for code that is quick.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A slice of bytes that ends before it begins is empty. mypyc 2.4 asks for a negative size there,
# which is a SystemError, and what clients send decides where slices of it begin and end.
_SLICES: Final = """\
#pragma once
#include <Python.h>
static inline PyObject *sidegate_bytes(const char *from, Py_ssize_t size) {
    return PyBytes_FromStringAndSize(from, size < 0 ? 0 : size);
}
static inline PyObject *sidegate_bytearray(const char *from, Py_ssize_t size) {
    return PyByteArray_FromStringAndSize(from, size < 0 ? 0 : size);
}
#define PyBytes_FromStringAndSize sidegate_bytes
#define PyByteArray_FromStringAndSize sidegate_bytearray
"""


class Compilation(BuildHookInterface[Any]):
    """Adds the extensions of the modules that pyproject.toml lists."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile them. Raises SystemExit, with what to do, where that can't be done."""
        if version == "editable":
            # There the sources are what runs.
            return
        look_for_a_compiler()
        self._work = tempfile.TemporaryDirectory(prefix="sidegate-compiled-")
        made = compiled(Path(self.root), self.config["modules"], Path(self._work.name))
        build_data["force_include"].update(made)
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if version != "editable":
            self._work.cleanup()


def look_for_a_compiler() -> None:
    """Raises SystemExit, with the package to install, where there is none."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        sys.exit(
            f"Sidegate's modules can't be compiled: there is no C compiler {compiler!r}; on "
            "Debian: sudo apt-get install gcc libc6-dev (or set CC to the compiler that there is)"
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        sys.exit(
            f"Sidegate's modules can't be compiled: Python's headers are missing ({header}); on "
            "Debian: sudo apt-get install python3-dev"
        )


def compiled(root: Path, modules: list[str], work: Path) -> dict[str, str]:
    """Extensions of these modules, by their path, with their places in the wheel.

    work: an empty folder; setuptools reads the pyproject.toml of the folder that it runs in, so it
    has to be another than the project's.
    """
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    print(f"Compiling {len(modules)} modules: types and C first", flush=True)
    shutil.copytree(root / "proxy", work / "proxy", ignore=shutil.ignore_patterns("*.so", "*.pyc"))
    with contextlib.chdir(work):
        extensions = mypycify(
            [f"--config-file={root / 'pyproject.toml'}", "--python-version", running(), *modules],
            opt_level=os.environ.get("SIDEGATE_COMPILE_LEVEL", "2"),
            debug_level="0",
            group_name="sidegate",
        )
        slices = work / "slices.h"
        slices.write_text(_SLICES)
        for extension in extensions:
            extension.extra_compile_args += ["-include", str(slices)]
            # Debian's headers name some of theirs from the folder above.
            extension.include_dirs.append(str(Path(sysconfig.get_path("include")).parent))
            if sys.platform == "linux":
                # Without pages of padding, which are most of a module's own small extension.
                extension.extra_link_args.append("-Wl,-z,noseparate-code")
        command = build_ext(Distribution({"name": "sidegate", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(work / "made"), str(work / "objects")
        command.ensure_finalized()
        print("Compiling them: extensions of the C, which takes a minute or so", flush=True)
        command.run()
    made = work / "made"
    return {str(file): str(file.relative_to(made)) for file in made.rglob("*") if file.is_file()}


def running() -> str:
    """The version of Python to look at the sources for, as 3.13: that which will run them."""
    return "{}.{}".format(*sys.version_info)
