from django.contrib import admin
from django.urls import include, path

from ninjacam.site.static import serve_static

urlpatterns = [
    path("static/<path:path>", serve_static, name="static"),
    path("admin/", admin.site.urls),
    path("", include("ninjacam.urls")),
]
