"""How much memory a model needs on given devices: pure arithmetic from `ModelSpec` and `Ask` to `MemoryPlan`.

`kv` counts the cache, `vllm` and `llamacpp` know what each engine takes besides, `answer` turns "does it fit"
into "how many users, how long a context, what to change".
"""

from toolkit.size.answer import minimum, plan
from toolkit.size.ask import Ask, Device

__all__ = ["Ask", "Device", "minimum", "plan"]
