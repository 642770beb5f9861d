"""The built-in providers of models."""

from collections.abc import Mapping

from backstay.generate.providers.anthropic import Anthropic
from backstay.generate.providers.hosted_providers import HOSTED
from backstay.generate.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in (*HOSTED, Anthropic())}
