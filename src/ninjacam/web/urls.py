"""The pages' URLs; `ninjacam.urls` adds the namespace "ninjacam"."""

from django.urls import path
from django.views.i18n import set_language

from ninjacam.project import login_required
from ninjacam.web import views
from ninjacam.web.access_page import show_access
from ninjacam.web.audit_page import show_audit
from ninjacam.web.backtest_page import show_backtest
from ninjacam.web.days_page import show_days
from ninjacam.web.events_page import show_events
from ninjacam.web.exports_page import show_exports
from ninjacam.web.installation import serve_worker, show_manifest, show_offline
from ninjacam.web.layout_page import edit_layout
from ninjacam.web.notifications_page import mute_by_notification, show_notifications
from ninjacam.web.options_page import choose_processors, edit_options
from ninjacam.web.publishing_page import download_certificate, show_publishing
from ninjacam.web.sessions_page import show_sessions
from ninjacam.web.storage_page import show_storage
from ninjacam.web.system_page import show_about, show_settings, show_system
from ninjacam.web.users_page import add_user, edit_group, edit_user, show_groups, show_users
from ninjacam.web.values_page import show_values
from ninjacam.web.zones_page import edit_zones

urlpatterns = [
    path("", views.show_wall, name="wall"),
    path("login/", views.in_complete_language(views.LogIn.as_view()), name="login"),
    path("logout/", views.LogOut.as_view(), name="logout"),
    path("language/", login_required(set_language), name="language"),
    path("account/", views.show_account, name="account"),
    path("events/", show_events, name="events"),
    path("manifest.webmanifest", show_manifest, name="manifest"),
    path("service-worker.js", serve_worker, name="service-worker"),
    path("offline/", show_offline, name="offline"),
    path("notifications/", show_notifications, name="notifications"),
    path("notifications/mute/", mute_by_notification, name="notifications-mute"),
    path("events/days/", show_days, name="event-days"),
    path("administration/users/", show_users, name="users"),
    path("administration/users/new/", add_user, name="user-add"),
    path("administration/users/<str:user_id>/", edit_user, name="user"),
    path("administration/groups/", show_groups, name="groups"),
    path("administration/groups/<int:group_id>/", edit_group, name="group"),
    path("administration/access/", show_access, name="access"),
    path("administration/sessions/", show_sessions, name="sessions"),
    path("administration/audit/", show_audit, name="audit"),
    path("administration/storage/", show_storage, name="storage"),
    path("administration/system/", show_system, name="system"),
    path("administration/settings/", show_settings, name="settings"),
    path("administration/about/", show_about, name="about"),
    path("exports/", show_exports, name="exports"),
    path("layouts/new/", edit_layout, name="layout-add"),
    path("layouts/<int:layout_id>/", edit_layout, name="layout"),
    path("replay/", views.show_replay, name="replay"),
    path("add-camera/", views.add_camera, name="camera-add"),
    path("discover/", views.show_discovery, name="discover"),
    path("ninjacam.crt", download_certificate, name="certificate"),
    path("publish/<str:link>/", show_publishing, name="publish"),
    path("cameras/<slug:slug>/", views.show_camera, name="camera"),
    path("cameras/<slug:slug>/edit/", views.edit_camera, name="camera-edit"),
    path("cameras/<slug:slug>/options/<slug:processor>/", edit_options, name="processor-options"),
    path("cameras/<slug:slug>/backtests/<uuid:backtest_id>/", show_backtest, name="backtest"),
    path("cameras/<slug:slug>/processors/", choose_processors, name="processors-choose"),
    path("cameras/<slug:slug>/values/", show_values, name="values"),
    path("cameras/<slug:slug>/zones/", edit_zones, name="zones"),
    path("cameras/<slug:slug>/publish-keys/", views.show_publish_keys, name="publish-keys"),
    path("cameras/<slug:slug>/delete/", views.delete_camera, name="camera-delete"),
]
