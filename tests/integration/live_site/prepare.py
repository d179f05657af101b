"""Creates the database and prints the logins as JSON. Run it as a program."""

import json
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.integration.live_site.settings"


def main() -> None:
    import django

    django.setup()
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.core.management import call_command
    from django.db import connection

    from ninjacam.models import ApiToken, Camera, CameraGrant
    from ninjacam.models.token import hash_token, new_token

    call_command("migrate", verbosity=0)
    connection.cursor().execute("PRAGMA journal_mode=WAL")
    cameras = {
        slug: Camera.objects.create(slug=slug, url=f"rtsp://{slug}.test/")
        for slug in ("door", "yard", "jpeg")
    }
    answer: dict[str, dict[str, str]] = {}
    for name in ("admin", "viewer", "stranger"):
        user = get_user_model().objects.create_user(name, password=name)
        if name == "admin":
            user.is_superuser = True
            user.save()
        if name == "viewer":
            CameraGrant.objects.create(camera=cameras["door"], user=user, role="view")
        session = import_module(settings.SESSION_ENGINE).SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        answer[name] = {"cookie": f"{settings.SESSION_COOKIE_NAME}={session.session_key}"}
        for kind, scopes in (("token", ["*"]), ("narrow", ["view:yard"])):
            prefix, token = new_token()
            ApiToken.objects.create(
                user=user, name=kind, prefix=prefix, token_hash=hash_token(token), scopes=scopes
            )
            answer[name][kind] = token
    json.dump(answer, sys.stdout)


main()
