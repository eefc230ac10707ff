"""Where a model's facts come from: a profile, a GGUF header, a folder with `config.json`, a hub.

`resolve.resolve(name)` is the one door; it returns a `ModelSpec`.
"""
