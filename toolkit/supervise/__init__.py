"""Launch an engine, know that it is alive, restart it, stop it cleanly.

``supervisor`` (asyncio) → one ``shim`` per engine (stdlib only) → the engine on a loopback port; users talk to
our ``proxy``. `api` is the door for everyone else.
"""
