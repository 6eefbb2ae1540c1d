"""All routes of /v1/auth, in one tuple."""

from vault.auth.device_router import router as device
from vault.auth.google_router import router as google
from vault.auth.mfa_router import router as mfa
from vault.auth.password_router import router as passwords
from vault.auth.profile_router import router as profile
from vault.auth.router import router as auth

ROUTERS = (auth, passwords, mfa, google, device, profile)
