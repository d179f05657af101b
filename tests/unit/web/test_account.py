import re

import pytest
from django.contrib.auth.models import User

from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator, principal_from
from tests.unit.conftest import signed_in

OLD, NEW = "the old password", "quite another password"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner", password=OLD)


def token_of(user: User) -> str:
    return create_token(LocalOperator(), user, "wall display", ["view"])[1]


def works(token: str) -> bool:
    return principal_from(cookies={}, authorization=f"Bearer {token}") is not None


@pytest.mark.parametrize("end_tokens", [True, False])
def test_a_new_password_ends_other_sessions_and_offers_to_end_the_tokens(
    owner: User, end_tokens: bool
) -> None:
    here, elsewhere, token = signed_in(owner), signed_in(owner), token_of(owner)
    box = re.search(r'<input[^>]*name="end_tokens"[^>]*>', here.get("/account/").content.decode())
    assert box and "checked" in box[0], "it is offered, and chosen unless one says otherwise"
    form = {"old_password": OLD, "new_password1": NEW, "new_password2": NEW}
    answer = here.post("/account/", {**form, **({"end_tokens": "on"} if end_tokens else {})})
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert here.get("/account/").status_code == 200 and elsewhere.get("/account/").status_code == 302
    assert works(token) is not end_tokens
    owner.refresh_from_db()
    assert owner.check_password(NEW)


def test_a_wrong_or_weak_password_changes_nothing(owner: User) -> None:
    client, token = signed_in(owner), token_of(owner)
    for old, new in (("guess", NEW), (OLD, "short")):
        form = {"old_password": old, "new_password1": new, "new_password2": new, "end_tokens": "on"}
        assert client.post("/account/", form).status_code == 422
    owner.refresh_from_db()
    assert owner.check_password(OLD) and works(token)


def test_the_page_lists_the_usable_tokens_and_revokes_them_all(owner: User, stranger: User) -> None:
    client, token, of_stranger = signed_in(owner), token_of(owner), token_of(stranger)
    page = client.get("/account/").content.decode()
    assert "wall display" in page and token not in page and token.split("_")[1] in page
    assert client.post("/account/", {"revoke_all": "1"}).status_code == 302
    assert not works(token) and works(of_stranger)
    assert "wall display" not in client.get("/account/").content.decode()


def test_a_user_without_a_local_password_cannot_change_it(owner: User) -> None:
    owner.set_unusable_password()
    owner.save()
    client = signed_in(owner)
    assert "old_password" not in client.get("/account/").content.decode()
    assert (
        client.post("/account/", {"old_password": "", "new_password1": NEW, "new_password2": NEW}).status_code
        == 200
    )
    owner.refresh_from_db()
    assert not owner.has_usable_password()
