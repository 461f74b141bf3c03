"""What setup.cfg cannot say: measurements for maintainers are installed with a checkout, but are in no wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MAINTAINERS = {"fusiongcn_edge.benchmarks.arm", "fusiongcn_edge.benchmarks.experiments"}


class BuildPy(build_py):
    """Leaves those out, but for editable installs."""

    def finalize_options(self) -> None:
        """Choose the packages, once it is known which kind of install this is."""
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [package for package in self.packages if package not in MAINTAINERS]

    def run(self) -> None:
        """Copy the modules; what an earlier build left in the checkout, and is no more, must not come into a wheel."""
        if not self.editable_mode:
            shutil.rmtree(Path(self.build_lib) / "fusiongcn_edge", ignore_errors=True)
        super().run()


setup(cmdclass={"build_py": BuildPy})
