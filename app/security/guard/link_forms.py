"""How links and tags are written: the parts of patterns that `links` and `seams` share, so that both see the same forms (S4)."""

TAG_NAME = "[A-Za-z/!?]"  # of an element, an end tag, a comment, a processing instruction: how it begins
TAG = f"<(?={TAG_NAME})"
IN_TAG = "[^<>]*"
LABEL = r"[^\[\]]*"
TARGET = r"\][(:]"  # where an inline link's address begins, or a definition's
