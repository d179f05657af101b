from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from example.workshop.views import home

urlpatterns = [
    path("", home),
    path("admin/", admin.site.urls),
    path("cam/", include("ninjacam.urls")),  # Ninjacam, line 2 of 3
    *staticfiles_urlpatterns(),
]
