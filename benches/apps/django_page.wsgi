# SPDX-License-Identifier: Apache-2.0
"""A page of a Django project in one file: routing, the usual middleware, a template with 50 rows, no database."""

import django
from django.conf import settings

settings.configure(
    DEBUG=False,
    SECRET_KEY="the benchmark has no secrets",
    ALLOWED_HOSTS=["127.0.0.1"],
    TIME_ZONE="UTC",
    ROOT_URLCONF="django_page_urls",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
