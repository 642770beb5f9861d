"""Who writes: the providers of models, and a writer without one."""

from collections.abc import Mapping

from backstay.generate.providers.anthropic import Anthropic
from backstay.generate.providers.hosted import HOSTED
from backstay.generate.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in (*HOSTED, Anthropic())}
