from django.contrib import admin
from django.urls import include, path

from ninjacam.site.static import serve_static
from ninjacam.web.log_in import AdminLogInForm
from ninjacam.web.setup_page import show_setup

admin.site.login_form = AdminLogInForm

urlpatterns = [
    path("static/<path:path>", serve_static, name="static"),
    path("admin/", admin.site.urls),
    path("setup/<str:token>/", show_setup),
    path("", include("ninjacam.urls")),
]
