"""The whole OpenAPI document under generated requests, over the real engines."""
