"""Training sets are made in the context that methods are given."""

from tests.methods.conftest import context as context
