"""A copy of the database that lost what came after it: nothing is signed until a human has seen what that was."""
