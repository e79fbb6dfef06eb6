"""What `locust` runs in this folder: clients that listen, and one that broadcasts.

Copy it, and subclass the two to say in code what the options say; see the README.
"""

from sseload_users import CodeBroadcaster, CodeListener

__all__ = ["CodeBroadcaster", "CodeListener"]
