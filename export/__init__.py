"""From torch to the graphs and the bundle that the runtime opens: ``pipeline.py`` from checkpoint to bundle,
``to_onnx.py`` and ``to_tflite.py`` for each format, on ``stages_*.py`` and ``subgraphs*.py``.
"""
