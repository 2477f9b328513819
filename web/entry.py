"""The pages of the door itself: set-up, sign-in, sign-out, a person's own password."""

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from web.accounts import Account, AccountError
from web.forms import form_of
from web.guard import place_of
from web.passwords import LENGTH_MAX, LENGTH_MIN
from web.words import Words

if TYPE_CHECKING:
    from web.shell import Shell


class Entry:
    """Routes over a shell's accounts and its door."""

    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._accounts = shell.accounts
        self._door = shell.door

    def routes(self) -> list[Route]:
        """The paths."""
        return [
            Route("/sign-in", self._sign_in, methods=["GET", "POST"]),
            Route("/set-up", self._set_up, methods=["GET", "POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/account", self._account, methods=["GET", "POST"]),
        ]

    async def _sign_in(self, request: Request) -> Response:
        if not self._accounts.all():
            return RedirectResponse("/set-up", 303)
        if request.method == "GET":
            return self._asked(request)
        form = await form_of(request)
        name = form.get("name", "")[:100].strip()
        problem, status = "wrong_password", 403
        async with self._shell.turn:
            place = place_of(request)
            if wait_s := self._door.brake.wait_s(name, place):
                return self._braked(request, name, wait_s)
            account = await run_in_threadpool(self._door.try_password, name, form.get("password", ""), place)
            if account is not None:
                await self._shell.record(request, "sign-in", "ok", who=account.name, role=account.role)
                return self._opened(request, account)
            await self._shell.record(request, "sign-in", "wrong name or password", who=name)
        return self._asked(request, problem, name, status)

    def _asked(self, request: Request, problem: str = "", name: str = "", status: int = 200) -> Response:
        """The form of the sign-in, below what the operator has everybody read; `problem` is a word's name."""
        told = self._shell.words(request)(problem) if problem else ""
        shown = {"problem": told, "name": name, "notice": self._shell.settings.notice}
        return self._shell.page(request, "sign_in.html", shown, status)

    def _braked(self, request: Request, name: str, wait_s: float) -> Response:
        answer = self._asked(request, "too_many", name, 429)
        answer.headers["retry-after"] = f"{wait_s:.0f}"
        return answer

    async def _set_up(self, request: Request) -> Response:
        if self._accounts.all():
            return RedirectResponse("/sign-in", 303)
        self._accounts.begin_setup()
        problem, status, form = "", 200, {}
        if request.method == "POST":
            form, status = await form_of(request), 403
            async with self._shell.turn:
                if self._door.brake.wait_s("", place_of(request)):
                    problem, status = self._shell.words(request)("too_many"), 429
                else:
                    try:
                        return await self._first(request, form)
                    except AccountError as error:
                        problem = said(error, self._shell.words(request))
        values = {"problem": problem, "file": self._accounts.setup_path.name, "name": form.get("name", "")}
        return self._shell.page(request, "set_up.html", values, status)

    async def _first(self, request: Request, form: dict[str, str]) -> Response:
        """Make the first account, an administrator's. Raises AccountError."""
        name = form.get("name", "").strip()
        if not await run_in_threadpool(self._accounts.is_setup_code, form.get("code", "")):
            self._door.brake.failed("", place_of(request))
            await self._shell.record(request, "set-up", "wrong code", who=name[:100])
            raise AccountError("wrong_code")
        _same(form)
        await self._shell.record(request, "set-up", "asked", who=name[:100], role="admin")
        await run_in_threadpool(self._accounts.add, name, "admin", form["password"])
        account = self._accounts.find(name)
        assert account is not None, "just made"
        return self._opened(request, account)

    async def _sign_out(self, request: Request) -> Response:
        person = self._shell.person(request)
        assert person is not None, "the guard let nobody else in"
        await self._shell.record(request, "sign-out", "ok", who=person.name, role=person.role)
        self._door.leave(request.cookies.get(self._accounts.cookie))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(self._accounts.cookie, httponly=True, samesite="strict")
        return answer

    async def _account(self, request: Request) -> Response:
        person, problem, status = self._shell.person(request), "", 200
        assert person is not None, "the guard let nobody else in"
        if request.method == "POST":
            # Before it is anybody's turn: who sends slowly keeps nobody waiting.
            form = await form_of(request)
            async with self._shell.turn:
                try:
                    return await self._new_password(request, person, form)
                except AccountError as error:
                    problem, status = said(error, self._shell.words(request)), 403
        return self._shell.page(request, "account.html", {"problem": problem}, status)

    async def _new_password(self, request: Request, person: Account, form: dict[str, str]) -> Response:
        """Change a person's own password, who says the old one; every session of theirs ends but a new one."""
        place = place_of(request)
        if self._door.brake.wait_s(person.name, place):
            raise AccountError("too_many")
        if await run_in_threadpool(self._door.try_password, person.name, form.get("old", ""), place) is None:
            await self._shell.record(request, "password", "wrong password", who=person.name, role=person.role)
            raise AccountError("wrong_password")
        _same(form)
        await self._shell.record(request, "password", "asked", who=person.name, role=person.role)
        await run_in_threadpool(self._accounts.set_password, person.name, form["password"])
        account = self._accounts.find(person.name)
        return RedirectResponse("/sign-in", 303) if account is None else self._opened(request, account)

    def _opened(self, request: Request, account: Account) -> Response:
        """A new session, whatever cookie was brought: the session of before has ended."""
        self._door.leave(request.cookies.get(self._accounts.cookie))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            self._accounts.cookie,
            self._door.open(account),
            max_age=int(self._door.session_s),
            httponly=True,
            samesite="strict",
            secure=self._shell.secure(request),
        )
        return answer


def said(error: AccountError, words: Words) -> str:
    """A refused change in words."""
    return words(error.code, name=error.name, least=LENGTH_MIN, most=LENGTH_MAX)


def _same(form: dict[str, str]) -> None:
    if form.get("password", "") != form.get("again"):
        raise AccountError("password_twice")
