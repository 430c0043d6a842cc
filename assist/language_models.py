"""The language models that can be asked, behind pydantic-ai. Needs the optional packages `handoff[ai]`."""

from typing import Literal

from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

__all__ = ["ADDRESSES", "Model", "ProviderName", "make_model"]

ProviderName = Literal["openai", "anthropic", "ollama"]

#: Where each provider listens. OpenAI's protocol is that of any other address, too.
ADDRESSES: dict[ProviderName, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://127.0.0.1:11434/v1",
}
#: For servers that ask for no key: the library would look for one in the environment.
_NO_KEY = "none"


def make_model(provider: ProviderName, name: str, *, url: str, key: str) -> Model:
    """Make what asks a model, without connecting.

    Args:
        provider: Whose protocol is spoken: `openai` is that of many servers.
        name: The model's name there.
        url: Where it listens; empty: at the provider's own address.
        key: The API key; empty: none.
    """
    url, key = url or ADDRESSES[provider], key or _NO_KEY
    if provider == "anthropic":
        return AnthropicModel(name, provider=AnthropicProvider(base_url=url, api_key=key))
    return OpenAIChatModel(name, provider=_openai_provider(provider, url, key))


def _openai_provider(
    provider: ProviderName, url: str, key: str
) -> OpenAIProvider | OpenAICompatibleProvider | OllamaProvider:
    if provider == "ollama":
        return OllamaProvider(base_url=url, api_key=key)
    if url == ADDRESSES["openai"]:
        return OpenAIProvider(base_url=url, api_key=key)
    return OpenAICompatibleProvider("openai-compatible", base_url=url, api_key=key)
