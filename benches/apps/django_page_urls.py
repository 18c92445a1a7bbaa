# SPDX-License-Identifier: Apache-2.0
"""The one view of django_page.wsgi."""

from django.http import HttpResponse
from django.template import Context, Engine
from django.urls import path

TEMPLATE = Engine().from_string(
    "<!DOCTYPE html><title>{{ title }}</title><h1>{{ title }}</h1><table>"
    "{% for row in rows %}<tr><td>{{ row.number }}</td><td>{{ row.name|upper }}</td></tr>{% endfor %}</table>"
)
ROWS = [{"number": number, "name": "row <%d>" % number} for number in range(50)]


def page(request):
    return HttpResponse(TEMPLATE.render(Context({"title": "A page & its rows", "rows": ROWS})))


urlpatterns = [path("", page)]
