# SPDX-License-Identifier: Apache-2.0
"""A service script: works until it is told to end."""

import time

import alone

alone.claim("service")
while True:
    time.sleep(0.05)
