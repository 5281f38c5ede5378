"""Commands: the one way back to the machine, with author, reason, expiry and read-back."""
