"""selfhost: size, launch, supervise, load-test and price a self-hosted LLM.

The pipeline is `MODEL → size → plan → serve → bench → cost`; each word is a command, a module here and a
JSON document (see `toolkit.types`).
"""

__version__ = "0.1.0"
