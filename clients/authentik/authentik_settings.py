"""Django settings that reproduce authentik's use of Redis up to 2025.8: cache and sessions in one database."""

from django.conf import settings

SESSION_LIFE_S = 1_209_600


def make_key(key: str, key_prefix: str, version: int) -> str:
    """The cache key of the public tenant."""
    return f"public:{key_prefix}:{version}:{key}"


def reverse_key(key: str) -> str:
    """The name that the program gave, taken out of a stored key."""
    return key.split(":", 3)[3]


def configure(url: str) -> None:
    """Configures Django once per process."""
    import django

    settings.configure(
        CACHES={
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": url,
                "TIMEOUT": 300,
                "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
                "KEY_PREFIX": "authentik_cache",
                "KEY_FUNCTION": "authentik_settings.make_key",
                "REVERSE_KEY_FUNCTION": "authentik_settings.reverse_key",
            }
        },
        DJANGO_REDIS_IGNORE_EXCEPTIONS=True,
        DJANGO_REDIS_SCAN_ITERSIZE=1000,
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SESSION_CACHE_ALIAS="default",
        SESSION_COOKIE_AGE=SESSION_LIFE_S,
        USE_TZ=True,
        SECRET_KEY="only-for-this-program",
    )
    django.setup()
