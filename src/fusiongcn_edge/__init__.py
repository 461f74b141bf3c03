"""fusiongcn-edge: fuse photographs focused at different depths, on constrained hardware."""

__version__ = "0.1.0"
