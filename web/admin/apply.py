"""`POST /admin/apply` {"dry_run": ..., "why": ...}: what is on disk now in the place of the configuration that runs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.config.problem import Problem
from engine.running import Running
from web.admin import change
from web.admin.change import Change
from web.outcome import outcome, outcomes


async def apply(running: Running, request: Request) -> Response:
    """The plan, after it was carried out; with `dry_run` only the plan. Every problem, and then nothing changed."""
    wanted = await change.asked(request, Change)
    if isinstance(wanted, Response):
        return wanted
    if running.reload is None:
        return outcome(409, "conflict", "this process runs no channels")
    who = change.who(request)
    applied = await (running.reload.plan() if wanted.dry_run else running.reload.apply(who, wanted.why))
    if applied.problems:
        return outcomes(422, [_issue(problem) for problem in applied.problems])
    return JSONResponse(
        {"applied": not wanted.dry_run, "plan": [change._asdict() for change in applied.plan]},
        headers={"cache-control": "no-store"},
    )


def _issue(problem: Problem) -> dict[str, str]:
    return {"severity": problem.severity, "code": "invalid", "diagnostics": str(problem)}
