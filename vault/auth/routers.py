"""All routes of /v1/auth, in one tuple."""

from vault.auth.mfa_router import router as mfa
from vault.auth.password_router import router as passwords
from vault.auth.router import router as auth

ROUTERS = (auth, passwords, mfa)
