"""Providers with OpenAI's API. A new one is a row here, and its row in the guide; everything else derives from it."""

from backstay.generate.endpoint_url import AZURE_HOSTS, from_ollama_host
from backstay.generate.providers.openai import OpenAICompatible
from backstay.generate.providers.provider import Quirk, Structure

_NEWER = "max_completion_tokens"

HOSTED = (
    OpenAICompatible(
        name="openai",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        token_field=_NEWER,
        base_url_variable="OPENAI_BASE_URL",
        unread_variable="OPENAI_API_BASE",
        is_api_style=True,
    ),
    OpenAICompatible(
        name="azure",
        base_url=None,
        example_url="https://NAME.openai.azure.com/openai/v1",
        key_variable="AZURE_OPENAI_API_KEY",
        token_field=_NEWER,
        key_header="api-key",
        hosts=AZURE_HOSTS,
        is_api_style=True,
    ),
    OpenAICompatible(
        name="gemini", base_url="https://generativelanguage.googleapis.com/v1beta/openai", key_variable="GEMINI_API_KEY"
    ),
    OpenAICompatible(
        name="deepseek",
        base_url="https://api.deepseek.com",
        key_variable="DEEPSEEK_API_KEY",
        structures=(Structure.JSON, Structure.TEXT),
    ),
    OpenAICompatible(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        quirks=frozenset({Quirk.NO_STREAM_OPTIONS}),
    ),
    OpenAICompatible(
        name="groq", base_url="https://api.groq.com/openai/v1", key_variable="GROQ_API_KEY", token_field=_NEWER
    ),
    OpenAICompatible(name="openrouter", base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"),
    OpenAICompatible(
        name="together",
        base_url="https://api.together.xyz/v1",
        key_variable="TOGETHER_API_KEY",
        hosts=("api.together.ai",),
    ),
    OpenAICompatible(name="xai", base_url="https://api.x.ai/v1", key_variable="XAI_API_KEY", token_field=_NEWER),
    OpenAICompatible(
        name="fireworks", base_url="https://api.fireworks.ai/inference/v1", key_variable="FIREWORKS_API_KEY"
    ),
    OpenAICompatible(
        name="ollama",
        base_url="http://localhost:11434/v1",
        key_variable="OLLAMA_API_KEY",
        needs_key=False,
        base_url_variable="OLLAMA_HOST",
        normalize_url=from_ollama_host,
        is_api_style=True,
    ),
)
