# SPDX-License-Identifier: Apache-2.0
"""As mixed.py, in a process that must be alone."""

import alone
from mixed import application  # noqa: F401

alone.claim("single")
