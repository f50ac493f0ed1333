"""What is learnt from is made, and learnt, in the context that methods are given."""

from tests.methods.conftest import context as context
