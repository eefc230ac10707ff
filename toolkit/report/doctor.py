"""What `doctor` found, in the terminal."""

from __future__ import annotations

from toolkit.types import GIB, Doctor


def render(found: Doctor) -> str:
    """Machine, engines and models as plain text; each missing thing with the command that mends it."""
    m = found.machine
    lines = [
        "machine",
        f"  cpu     {m['cpu']}, {m['usable_cores']} of {m['cores']} cores usable",
        f"  memory  {m['memory_available_bytes'] / GIB:.1f} of {m['memory_bytes'] / GIB:.1f} GiB available",
        f"  disk    {m['disk_free_bytes'] / GIB:.0f} GiB free in the home folder",
    ]
    for gpu in m["gpus"]:
        free, total = gpu["free_bytes"] / GIB, gpu["total_bytes"] / GIB
        lines.append(
            f"  gpu {gpu['index']}   {gpu['name']}, {free:.1f} of {total:.1f} GiB free, driver {gpu['driver']}"
        )
    if not m["gpus"]:
        lines.append(f"  gpu     none: {m['gpu_note']}")
    lines += ["", "engines"]
    for engine in found.engines:
        if engine.found:
            gpu = ", GPU" if engine.gpu else ""
            lines.append(f"  + {engine.backend:<17} {engine.version or 'version unknown'}{gpu}  ({engine.where})")
        else:
            lines.append(f"  - {engine.backend:<17} not found; {engine.mend}")
    lines += ["", "model files"]
    for name, path in found.models.items():
        lines.append(f"  + {name:<17} {path}" if path else f"  - {name:<17} pip install 'selfhost-toolkit[demo]'")
    return "\n".join(lines)
