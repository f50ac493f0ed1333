"""Training parts are tried in the context that methods are given."""

from tests.methods.conftest import context as context
