"""/api/..."""

from django.urls import path

from benchmarks.seed.api import api

urlpatterns = [path("api/", api.urls)]
