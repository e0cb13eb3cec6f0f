"""What access refuses, and why."""

from typing import ClassVar

from mill_kit.problems import Conflict, Forbidden, Invalid, NotFound, Problem, Unauthenticated

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class SignInFirst(Unauthenticated):
    advice: ClassVar[str] = "Send `Authorization: Bearer <access token or API key>`"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.advice, headers=_CHALLENGE)


class InvalidToken(SignInFirst):
    slug = "invalid-token"
    title = "The access token is not valid"


class InvalidApiKey(SignInFirst):
    slug = "invalid-api-key"
    title = "The API key is not valid"


class WrongPassword(SignInFirst):
    slug = "wrong-credentials"
    title = "No such user, or the password is wrong"
    advice = "Wrong username or password"


class TooManyAttempts(Problem):
    status = 429
    slug = "too-many-attempts"
    title = "Too many attempts to sign in"


class InvalidRefreshToken(SignInFirst):
    slug = "invalid-refresh-token"
    title = "The refresh token is not valid: sign in again"
    advice = "The refresh token is unknown, expired or revoked; sign in again"


class RefreshTokenUsed(SignInFirst):
    slug = "refresh-token-used"
    title = "The refresh token was used a moment ago: use the one that came with that answer"
    advice = "Use the refresh token that came with the last answer, or sign in again"


class WeakPassword(Invalid):
    slug = "weak-password"
    title = "The password is too easy to guess"


class RegistrationClosed(Forbidden):
    slug = "registration-closed"
    title = "One registers here by invitation"


class InvalidCode(Forbidden):
    slug = "invalid-code"
    title = "The code is unknown, used, revoked or expired"


class OtherAddress(Forbidden):
    slug = "other-address"
    title = "The invitation is for another e-mail address"


class RoleTooLow(Forbidden):
    slug = "role-too-low"
    title = "Your role in this workspace does not allow this"


class ScopeMissing(Forbidden):
    slug = "scope-missing"
    title = "The API key lacks the scope for this"


class SessionNeeded(Forbidden):
    slug = "session-needed"
    title = "This needs a signed-in user; an API key is not enough"


class EmailTaken(Conflict):
    slug = "email-taken"
    title = "Somebody is registered with this e-mail address"


class UsernameTaken(Conflict):
    slug = "username-taken"
    title = "Somebody is registered with this username"


class AlreadyMember(Conflict):
    slug = "already-member"
    title = "This user is a member already"


class LastAdmin(Conflict):
    slug = "last-admin"
    title = "A workspace keeps at least one admin"


class NotOwner(Forbidden):
    slug = "not-owner"
    title = "This is for the owner alone"


class OwnerStays(Conflict):
    slug = "owner-stays"
    title = "This member owns the workspace"


class ServiceAccountNameTaken(Conflict):
    slug = "service-account-name-taken"
    title = "The workspace has a service account of this name"


class ServiceAccountNotFound(NotFound):
    slug = "service-account-not-found"
    title = "No such service account"


class InvitationNotFound(NotFound):
    slug = "invitation-not-found"
    title = "No such open invitation"


class UserNotFound(NotFound):
    slug = "user-not-found"
    title = "No such user"


class WorkspaceNotFound(NotFound):
    slug = "workspace-not-found"
    title = "You are in no such workspace"


class KeyNotFound(NotFound):
    slug = "api-key-not-found"
    title = "No such API key"


class InvalidKeyRequest(Invalid):
    slug = "invalid-api-key-request"
    title = "The API key cannot be made like this"
