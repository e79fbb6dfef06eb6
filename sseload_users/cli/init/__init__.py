"""The command `init`: write a target profile by watching a server."""
