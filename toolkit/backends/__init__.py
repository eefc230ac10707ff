"""Engines that can serve a model. Built-ins register by the same entry point group as a stranger's.

`base` holds the seam (`Backend`, `Engine`, `Signals`) and `installed()`, which reads the entry points.
"""
