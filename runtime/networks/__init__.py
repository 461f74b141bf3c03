"""A module for each network, with its inputs, its region graph, its GCN and its CNN.
``registry.py`` opens the one that a bundle names.
"""
