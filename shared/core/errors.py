"""Everything that can go wrong, as one tree; over HTTP each becomes problem+json (RFC 9457).

ForgeError
├── InvalidInput              422
│   ├── PictureUnusable
│   ├── ConsentMissing
│   ├── AudioUnusable
│   ├── AddressRefused            an address that is never visited
│   ├── FetchFailed
│   └── Declined                  a provider's policy does not allow it
├── Unauthenticated           401
├── NotFound                  404
├── Conflict                  409
├── BodyTooLarge              413
├── OutOfCredits              402
├── TooManyRequests           429  retryable after `retry_after` seconds
├── MethodNotAllowed          405
├── DeadlineOver              504
├── NoVideo                   502  the talk succeeded, but only its voice or its text exists
├── SettingMissing            500  a function lacks a setting it needs
├── SettingInvalid            500
├── DatabaseNotMigrated       500  the database lacks a table or function of ours
├── WeightsUnusable           500
├── FaceModelsMissing         503  photos cannot be looked at; drawn personas still work
├── StoreUnavailable          503  retryable
└── ProviderFailed            502  names the provider
    ├── ProviderRefused       502  our key, quota or request was refused: repeating does not help
    ├── ProviderBusy          503  retryable
    └── ProviderTimeout       504  retryable
"""

from __future__ import annotations

from typing import Any


class ForgeError(Exception):
    """Base of all. `detail` is for the caller: what is wrong, with which input, what to do. Never a secret."""

    code = "error"
    status = 500
    title = "Something went wrong"
    retryable = False

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

    def problem(self, instance: str = "") -> dict[str, Any]:
        """The problem+json body."""
        body = {
            "type": f"urn:personaforge:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "retryable": self.retryable,
            **self.extra,
        }
        return {**body, "instance": instance} if instance else body


class InvalidInput(ForgeError):
    code, status, title = "invalid_input", 422, "The input cannot be used"


class PictureUnusable(InvalidInput):
    code, title = "picture_unusable", "The picture cannot be used"


class ConsentMissing(InvalidInput):
    code, title = "consent_missing", "Consent is missing"


class FileUnusable(InvalidInput):
    code, title = "file_unusable", "The file cannot be used"


class AudioUnusable(InvalidInput):
    code, title = "audio_unusable", "The audio cannot be used"


class AddressRefused(InvalidInput):
    code, title = "address_refused", "The address is not visited"


class FetchFailed(InvalidInput):
    code, title = "fetch_failed", "What the address names could not be fetched"


class Declined(InvalidInput):
    code, title = "declined", "The request was declined"


class Unauthenticated(ForgeError):
    code, status, title = "unauthenticated", 401, "Sign in first"


class NotFound(ForgeError):
    code, status, title = "not_found", 404, "Not found"


class MethodNotAllowed(ForgeError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"


class Conflict(ForgeError):
    code, status, title = "conflict", 409, "Not possible in this state"


class BodyTooLarge(ForgeError):
    code, status, title = "body_too_large", 413, "The request body is too large"


class OutOfCredits(ForgeError):
    code, status, title = "out_of_credits", 402, "Not enough credits"


class TooManyRequests(ForgeError):
    code, status, title, retryable = "too_many_requests", 429, "Too many requests", True


class DeadlineOver(ForgeError):
    code, status, title = "deadline", 504, "Not finished in time"


class NoVideo(ForgeError):
    code, status, title = "no_video", 502, "There is no video of this talk"


class SettingMissing(ForgeError):
    code, status, title = "setting_missing", 500, "The backend is not set up completely"


class SettingInvalid(ForgeError):
    code, status, title = "setting_invalid", 500, "The backend is set up wrongly"


class DatabaseNotMigrated(ForgeError):
    code, status, title = "database_not_migrated", 500, "The database is not set up completely"


class WeightsUnusable(ForgeError):
    code, status, title = "weights_unusable", 500, "The weights of a model do not fit"


class FaceModelsMissing(ForgeError):
    code, status, title = "face_models_missing", 503, "Photos cannot be read here"


class StoreUnavailable(ForgeError):
    code, status, title, retryable = "store_unavailable", 503, "The database did not answer", True


class FileTooLarge(ForgeError):
    """Of what was made here: uploads have a limit of their own."""

    code, status, title, retryable = "file_too_large", 507, "File too large for the storage", False

    def __init__(self) -> None:
        super().__init__(
            "The file is larger than this Supabase project takes. Raise the limit under Storage, Settings, Global file "
            "size limit (a film of three minutes has up to 190 MB), then retry."
        )


class ProviderFailed(ForgeError):
    """A vendor failed. `provider` is its name; `provider_status` its HTTP status where there was one."""

    code, status, title = "provider_failed", 502, "A provider failed"

    def __init__(self, provider: str, detail: str, **extra: Any) -> None:
        super().__init__(f"{provider}: {detail}", provider=provider, **extra)


class ProviderRefused(ProviderFailed):
    code, title = "provider_refused", "A provider refused the request"


class ProviderBusy(ProviderFailed):
    code, status, title, retryable = "provider_busy", 503, "A provider is busy", True


class ProviderTimeout(ProviderFailed):
    code, status, title, retryable = "provider_timeout", 504, "A provider took too long", True


def provider_error(provider: str, status: int, detail: str, retry_after: str | None = None) -> ProviderFailed:
    """The error for an HTTP status of a provider. retry_after: that header; only seconds are read."""
    kind: type[ProviderFailed] = ProviderFailed
    if status in (408, 504):
        kind = ProviderTimeout
    elif status in (429, 503, 529):
        kind = ProviderBusy
    elif 400 <= status < 500:
        kind = ProviderRefused
    extra = {"retry_after": int(retry_after)} if retry_after and retry_after.isdecimal() else {}
    return kind(provider, detail, provider_status=status, **extra)
