"""A client whose base URL is wrong learns the path that it meant."""

import pytest

from app.edge.misplaced import misplaced


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/v1//models", "/v1/models"),
        ("/v1/models/", "/v1/models"),
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/models", "/v1/models"),
        ("/v1/messages/v1/messages/count_tokens", "/v1/messages/count_tokens"),
    ],
)
def test_the_path_that_a_wrong_base_url_means_is_named(path: str, meant: str) -> None:
    error = misplaced(path)
    assert error is not None
    assert error.message == f"No such path. Here it is {meant}: check the base URL."


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1", "/", "/v1/models/no-such-model"])
def test_a_path_in_its_place_means_no_other(path: str) -> None:
    assert misplaced(path) is None


@pytest.mark.parametrize("path", ["/v1/threads/thread_1/messages", "/v1/chat/completions/chatcmpl-1/messages"])
def test_stored_messages_are_no_endpoint_in_a_wrong_place(path: str) -> None:
    assert misplaced(path, within=True) is None
