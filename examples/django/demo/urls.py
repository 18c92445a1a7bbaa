# SPDX-License-Identifier: Apache-2.0
"""The guest book at the mount point, the admin below it."""

from django.contrib import admin
from django.urls import path
from guestbook.views import entries

urlpatterns = [
    path("", entries, name="entries"),
    path("admin/", admin.site.urls),
]
