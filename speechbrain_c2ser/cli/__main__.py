"""``python -m speechbrain_c2ser.cli``: the command without its script."""

import sys

from speechbrain_c2ser.cli import main

if __name__ == "__main__":
    sys.exit(main())
