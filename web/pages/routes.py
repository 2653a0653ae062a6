"""This file puts the screens together: the order says which route is asked first."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages import brought, check, document, documents, log_in, result, sign, static_files

router = APIRouter(include_in_schema=False)
for screen in (static_files, log_in, documents, sign, result, document, brought, check):
    router.include_router(screen.router)
