"""fusiongcn-edge: fuse photographs focused at different depths, on constrained hardware.
The version and the command line; the packages below it are the top-level folders of the repository.
"""

__version__ = "0.1.0"
