# SPDX-License-Identifier: Apache-2.0
"""Makes every interpreter that starts while a certain file exists unable to import `signal`."""

import os
import sys

if os.path.exists("/tmp/rehearsal-sabotage-%d" % os.getpid()):

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "signal":
                raise RuntimeError("sabotaged " + name)

    sys.meta_path.insert(0, Finder)
    sys.modules.pop("signal", None)
