# SPDX-License-Identifier: Apache-2.0
"""The Pythons of this machine, and copies of them that httpd's user can read.

The examples and the benchmark use it. Standard library only, Python 3.9.
"""

import glob
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from httpd import Httpd  # noqa: E402

# The minor versions that the module is shown with, newest first.
MINORS = (13, 12, 11, 10, 9)
LEFT_OUT = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages"}
FACTS = """
import os, sys
print("%d.%d" % sys.version_info[:2], sys.version.split()[0], sys.base_prefix, os.__file__, sep="\\n")
"""


class Server(Httpd):
    """A server for Pythons of which some were copied: their programs have the place of the original compiled in."""

    def __init__(self, *arguments, copies=(), **options):
        super().__init__(*arguments, **options)
        self.copies = copies

    def environment(self):
        kept = super().environment()
        if self.copies:
            kept["LD_LIBRARY_PATH"] = ":".join(f"{copy}/lib" for copy in self.copies)
        return kept


class Python:
    """An interpreter: the program to call, its version, and the folder above its bin and lib."""

    def __init__(self, executable):
        done = subprocess.run([str(executable), "-c", FACTS], check=True, stdout=subprocess.PIPE, text=True)
        self.minor, self.version, prefix, self.library = done.stdout.splitlines()
        self.executable, self.prefix = str(executable), Path(prefix)
        self.moved = None

    def is_readable_by(self, user):
        return user.can(self.library, os.R_OK)

    def copy(self, target):
        """Copies what running it needs, for everyone to read."""
        self.moved = target

        def ignore(directory, names):
            top = os.path.basename(directory) == f"python{self.minor}"
            return {name for name in names if (top and (name in LEFT_OUT or name.startswith("config-"))) or name.endswith(".a")}

        program, library = f"bin/python{self.minor}", f"lib/python{self.minor}"
        (target / "bin").mkdir(parents=True)
        shutil.copy2(os.path.realpath(self.prefix / program), target / program)
        os.symlink(f"python{self.minor}", target / "bin/python3")
        shutil.copytree(self.prefix / library, target / library, symlinks=True, ignore=ignore)
        (target / library / "site-packages").mkdir(exist_ok=True)
        for shared in glob.glob(f"{self.prefix}/lib/libpython3*.so*"):
            shutil.copy2(shared, target / "lib", follow_symlinks=False)
        subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)


def pyenv_versions():
    roots = [os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"]
    return [version for root in roots if root for version in Path(root).glob("versions/3.*")]


def by_patch(prefix):
    """Sorts 3.12.10 behind 3.12.9, and what has no number there (3.13-dev, 3.13.0t) in front."""
    last = prefix.name.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def find(minor):
    """The program of an installed Python 3.`minor` with a shared library, the newest of pyenv first; or None."""
    own = [prefix for prefix in pyenv_versions() if prefix.name.startswith(f"3.{minor}.") and by_patch(prefix) >= 0]
    for prefix in [*sorted(own, key=by_patch, reverse=True), Path("/usr/local"), Path("/usr")]:
        program = prefix / f"bin/python3.{minor}"
        shared = [*prefix.glob(f"lib/libpython3.{minor}.so*"), *prefix.glob(f"lib/*-linux-gnu/libpython3.{minor}.so*")]
        if shared and os.access(program, os.X_OK):
            return program
    return None


def beside(first):
    """The newest Python of another version than `first`; or None."""
    found = (find(minor) for minor in MINORS if f"3.{minor}" != first.minor)
    return next((Python(program) for program in found if program), None)


def copy_venv(source, root, python):
    """Copies a virtual environment, for everyone to read, and bases it on the Python's copy, if there is one.

    That works without its scripts being rewritten, because only python and the packages are used.
    """
    target = root / source.name
    shutil.copytree(source, target, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", str(target)], check=True)
    if python.moved:
        lines = (target / "pyvenv.cfg").read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() not in ("home", "executable", "command")]
        (target / "pyvenv.cfg").write_text("\n".join([f"home = {python.moved}/bin", *kept]) + "\n")
        for name in ("python", "python3", f"python{python.minor}"):
            (target / "bin" / name).unlink(missing_ok=True)
            (target / "bin" / name).symlink_to(python.moved / f"bin/python{python.minor}")
    return target
