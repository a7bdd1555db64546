"""The management API under `/v1`: monitors, pages, maintenances and keys as events, and how the monitors do."""

from fastapi import APIRouter

from query.management import corrections, incidents, keys, maintenances, monitors, pages, system

router = APIRouter(prefix="/v1")
for module in (monitors, corrections, pages, maintenances, keys, incidents, system):
    router.include_router(module.router)
