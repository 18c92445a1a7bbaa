# SPDX-License-Identifier: Apache-2.0
"""The guest book page."""

from django.forms import ModelForm
from django.shortcuts import redirect, render

from .models import Entry


class EntryForm(ModelForm):
    class Meta:
        model = Entry
        fields = ["name", "text"]


def entries(request):
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("entries")
    return render(request, "guestbook/entries.html", {"form": form, "entries": Entry.objects.all()[:50]})
