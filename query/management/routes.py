"""The management API under `/v1`: monitors, pages and keys as events, and how the monitors do."""

from fastapi import APIRouter

from query.management import corrections, incidents, keys, monitors, pages, system

router = APIRouter(prefix="/v1")
for module in (monitors, corrections, pages, keys, incidents, system):
    router.include_router(module.router)
