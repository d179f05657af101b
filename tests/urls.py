from ninjacam.site.urls import urlpatterns as urlpatterns
