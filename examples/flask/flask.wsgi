# SPDX-License-Identifier: Apache-2.0
"""The script that the server runs; the application itself is an ordinary package beside it.

The server does not put a script's directory on sys.path, so the configuration
(WSGIPythonPath) or the script has to. This one does it itself.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from demo_flask import app as application  # noqa: E402,F401
