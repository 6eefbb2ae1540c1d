"""`make demo`: start everything on an embedded default, play the main job on a local chain, stop everything."""

import sys
import tempfile
import time
from pathlib import Path

from talon.instance import InstanceError, temporary_instance
from talon.story import Story, StoryError


def main() -> int:
    """0 when the story went as told; otherwise 1 with one line that says where it did not."""
    began = time.monotonic()
    print("Starting PostgreSQL, an HSM token, a local chain and Talon, all in a temporary directory …", flush=True)
    try:
        with tempfile.TemporaryDirectory(prefix="talon-demo-") as home, temporary_instance(Path(home)) as instance:
            print(f"Ready at {instance.base_url} after {time.monotonic() - began:.1f} s.\n", flush=True)
            Story(
                instance.base_url,
                instance.rpc_url,
                instance.admin_email,
                instance.admin_password,
                say=lambda line: print(line, flush=True),
            ).play()
    except (InstanceError, StoryError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nAll of it happened, and all of it is stopped again ({time.monotonic() - began:.1f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
