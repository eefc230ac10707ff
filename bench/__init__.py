"""How we load: a Locust file that measures OpenAI-compatible servers to the microsecond.

Nothing here imports `toolkit`: Locust patches the process with gevent. `toolkit.load` starts it as a child
process and reads its rows; it can also be run by hand, see `locustfile.py`.
"""
