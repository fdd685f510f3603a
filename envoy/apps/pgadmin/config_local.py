"""pgAdmin's settings, beside app.py: it knows nobody but REMOTE_USER, and asks nothing of the world."""

import os

DATA_DIR = os.environ["DATA"]
AUTHENTICATION_SOURCES = ["webserver"]
UPGRADE_CHECK_ENABLED = False
SHOW_GRAVATAR_IMAGE = False
