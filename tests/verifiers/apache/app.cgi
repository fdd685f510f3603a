#!/usr/bin/env python3
"""An app that knows nothing of assertions: it believes REMOTE_USER and what Apache's module says of the user."""

import json
import os

print("Content-Type: application/json\n")
email = os.environ.get("OAUTH2_CLAIM_email") or os.environ.get("OIDC_CLAIM_email")
print(json.dumps({"sub": os.environ.get("REMOTE_USER"), "email": email}))
