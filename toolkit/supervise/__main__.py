"""``python -m toolkit.supervise NAME``: the supervisor of one served name, as a process of its own.

Who has the name already is looked at before anything heavy is loaded: a second one goes at once.
"""

from __future__ import annotations

import contextlib
import sys

from toolkit.errors import InputError
from toolkit.supervise.store import Folder


def main() -> int:
    """Serve the named spec; one line on stderr and an exit status when that fails."""
    try:
        Folder(sys.argv[1]).refuse_second()
    except InputError as error:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{error.message}\n")
        return error.exit_status
    from toolkit.supervise import daemon

    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
