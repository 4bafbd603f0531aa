"""The core's tests need neither Ray nor a model; a shared machine may be slow, so examples have no deadline."""

from hypothesis import settings

settings.register_profile("core", deadline=None)
settings.load_profile("core")
