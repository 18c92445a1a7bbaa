# SPDX-License-Identifier: Apache-2.0
"""The script that the server runs for the Django project beside it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# Not os.environ.setdefault: the process environment is shared by all applications of a process.
os.environ["DJANGO_SETTINGS_MODULE"] = "demo.settings"

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
