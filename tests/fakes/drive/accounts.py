"""The token endpoint of the fake Drive, and the credentials files that tests hand to dbsync."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SCOPE = "https://www.googleapis.com/auth/drive"
# What the client signs, wherever the request goes.
_AUDIENCE = "https://oauth2.googleapis.com/token"


class Accounts:
    """Who may sign in; access tokens are valid until `expire_tokens`."""

    def __init__(self, root: str):
        self._uri = f"{root}token"
        self._tokens: dict[str, str] = {}
        self._public: dict[str, bytes] = {}
        self._refresh: dict[str, str] = {}
        self._codes: dict[str, str] = {}
        self._revoked: set[str] = set()
        self.scope = SCOPE

    def service_account(self, path: Path, email: str) -> Path:
        """Make a service account with a key of its own and write its key file."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._public[email] = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        path.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "project_id": "fake",
                    "private_key_id": "1",
                    "private_key": private.decode(),
                    "client_email": email,
                    "client_id": "1",
                    "token_uri": self._uri,
                }
            )
        )
        return path

    def user(self, path: Path, email: str, *, secret: str | None = None) -> Path:
        """Write the token file of a person who has signed in."""
        token = secrets.token_urlsafe()
        self._refresh[token] = email
        path.write_text(
            json.dumps(
                {
                    "type": "authorized_user",
                    "account": email,
                    "client_id": "client",
                    "client_secret": secret or secrets.token_urlsafe(),
                    "refresh_token": token,
                    "token_uri": self._uri,
                }
            )
        )
        return path

    def client(self, path: Path) -> Path:
        """Write the file of an OAuth client for desktop applications."""
        path.write_text(
            json.dumps(
                {
                    "installed": {
                        "client_id": "client",
                        "client_secret": "desktop",
                        "auth_uri": f"{self._uri}/auth",
                        "token_uri": self._uri,
                        "redirect_uris": ["http://localhost"],
                    }
                }
            )
        )
        return path

    def code(self, email: str) -> str:
        """Let a person consent in a browser; returns the code that the browser brings back."""
        code = secrets.token_urlsafe()
        self._codes[code] = email
        return code

    def expire_tokens(self) -> None:
        """Let every access token end; new ones are given."""
        self._tokens.clear()

    def revoke(self, email: str) -> None:
        """Take all rights to sign in from an account."""
        self._revoked.add(email)
        self._tokens = {token: who for token, who in self._tokens.items() if who != email}

    def account(self, authorization: str | None) -> str | None:
        """Return whose token a request carries, if it is valid."""
        return self._tokens.get((authorization or "").removeprefix("Bearer "))

    def token(self, body: bytes) -> tuple[int, dict[str, object]]:
        """Answer a request for an access token."""
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        email = self._who(fields)
        if email is None or email in self._revoked:
            return 400, {"error": "invalid_grant", "error_description": "Token was revoked."}
        token = secrets.token_urlsafe()
        self._tokens[token] = email
        answer: dict[str, object] = {
            "access_token": token,
            "expires_in": 3600,
            "token_type": "Bearer",
            "scope": self.scope,
        }
        if fields.get("grant_type") == "authorization_code":
            lasting = secrets.token_urlsafe()
            self._refresh[lasting] = email
            answer["refresh_token"] = lasting
        return 200, answer

    def _who(self, fields: dict[str, str]) -> str | None:
        if fields.get("grant_type") == "refresh_token":
            return self._refresh.get(fields.get("refresh_token", ""))
        if fields.get("grant_type") == "authorization_code":
            return self._codes.pop(fields.get("code", ""), None)
        from google.auth import jwt

        assertion = fields.get("assertion", "")
        try:
            claims = jwt.decode(assertion, verify=False)
            public = self._public[claims["iss"]]
            jwt.decode(assertion, certs=public, audience=_AUDIENCE)
        except (KeyError, ValueError):
            return None
        return claims["iss"] if claims.get("scope") == SCOPE else None
