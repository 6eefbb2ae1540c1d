"""Which limits a request counts against, by its method and path. Pure."""

# asked by balancers and by Prometheus, at intervals of their own
EXEMPT = frozenset({"/v1/health", "/v1/health/hsm", "/metrics"})

# what anybody may call to become somebody: guessing and flooding begin here. A page that does the same by a browser
# calls one of these and is counted by it; the others ask for a person who is signed in
PUBLIC_AUTH = frozenset(
    {
        "/v1/auth/agent-token",
        "/v1/auth/api-key-token",
        "/v1/auth/refresh",
        "/v1/auth/signup",
        "/v1/auth/verify-email",
        "/v1/auth/resend-verification",
        "/v1/auth/forgot-password",
        "/v1/auth/reset-password",
        "/v1/auth/know-device",
        "/v1/auth/google",
        "/v1/auth/device/code",
        "/v1/agents/enroll",
    }
)
# a person's way in, and its pages: a limit of its own, so that a flood of anything else does not close it. How often
# passwords are tried is counted where account and place are known (vault.auth.login), and codes by the person
SIGN_IN = frozenset({"/v1/auth/token", "/v1/auth/mfa/verify"})
SIGN_IN_PAGES = frozenset({"/login", "/login/code"})
DEVICE_POLL = "/v1/auth/device/token"


def limits_of(method: str, path: str) -> tuple[str, ...]:
    """Names of the limits, the widest first; () when the request is not counted."""
    if path in EXEMPT:
        return ()
    if path in SIGN_IN_PAGES or (path in SIGN_IN and method == "POST"):
        return ("login",)
    if method != "POST":
        return ("ip",)
    if path in PUBLIC_AUTH:
        return ("ip", "auth")
    return ("ip", "device") if path == DEVICE_POLL else ("ip",)
