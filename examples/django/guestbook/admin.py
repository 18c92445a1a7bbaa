# SPDX-License-Identifier: Apache-2.0
"""Entries can be edited in the admin."""

from django.contrib import admin

from .models import Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["name", "text", "written"]
    search_fields = ["name", "text"]
