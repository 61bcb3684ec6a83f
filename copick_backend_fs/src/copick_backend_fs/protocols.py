"""What is known of protocols before anything is connected to."""

from __future__ import annotations

#: Protocols whose files lie in an archive, which lies somewhere else.
ARCHIVES = {"tar", "zip"}
#: Protocols of web servers.
WEB = {"http", "https"}
#: Protocols that cannot be written to.
READ_ONLY = {*WEB, *ARCHIVES}
#: Protocols whose servers write on condition, over fsspec too.
CONDITIONAL = {"abfs", "abfss", "az", "s3", "s3a"}
#: Protocols that the tests try with a real server or archive.
TRIED = {"abfs", "az", "file", "http", "https", "local", "memory", "s3", "s3a", "sftp", "smb", "ssh", "tar", "zip"}
