"""Who writes, one a file: the providers of models, and a writer without one."""

from collections.abc import Mapping

from backstay.generate.providers.anthropic import Anthropic
from backstay.generate.providers.openai import OpenAI
from backstay.generate.providers.provider import Provider

PROVIDERS: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        OpenAI("openai", "https://api.openai.com/v1"),
        Anthropic(),
        OpenAI("ollama", "http://localhost:11434/v1", needs_key=False),
    )
}
