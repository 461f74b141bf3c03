"""The networks in torch (``fusiongcn.py``, ``fusiongcn_lite.py``), their checkpoints and their training
(``training.py`` is the loop, ``losses.py`` the loss, ``config.py`` what decides a run, ``data/`` the scenes).
"""
