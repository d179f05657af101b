"""The forms that check a password, with the limits of `actions.sign_in`."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.sign_in import attempt
from ninjacam.core.errors import LimitError


class _Limited(AuthenticationForm):
    """`throttled`: the password was not looked at."""

    throttled = False

    def clean(self) -> dict[str, Any]:
        try:
            with attempt(self.request, self.cleaned_data.get("username") or ""):
                return super().clean()
        except LimitError as error:
            self.throttled = True
            raise ValidationError(error.message, code="throttled") from error


class LogInForm(_Limited):
    """Of our login page."""


class AdminLogInForm(_Limited, AdminAuthenticationForm):
    """Of Django's admin: `admin.site.login_form = AdminLogInForm`."""


class PasswordForm(PasswordChangeForm):
    """A new password for oneself. Guessing the old one is limited as logging in is."""

    end_tokens = forms.BooleanField(
        label=_("Also revoke all my API tokens"),
        required=False,
        initial=True,
        help_text=_("Other sessions and all links end in any case."),
    )

    def __init__(self, request: HttpRequest, user: AbstractBaseUser, data: Any = None) -> None:
        super().__init__(user, data)  # type: ignore[arg-type] # works with every user model, says Django
        self._request = request

    def clean_old_password(self) -> str:
        try:
            with attempt(self._request, self.user.get_username()):
                return super().clean_old_password()
        except LimitError as error:
            raise ValidationError(error.message, code="throttled") from error
