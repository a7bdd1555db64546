"""The sample FastAPI app that PulseAPI watches in `pulse up --demo`, with switches that break it for real."""
