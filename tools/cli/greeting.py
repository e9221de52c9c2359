"""What `capstan up` says when everything runs: the address, the key, and two ways to use them that work as printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

QUESTION = "What is the capital of France?"


@dataclass(frozen=True)
class Greeting:
    """What there is to say."""

    base_url: str
    key: str
    """The first API key, to be shown; "" when it was shown before."""
    key_file: Path
    model: str
    admin_url: str
    command: str
    """What the user types for the command line."""
    took_s: float | None
    """From the command to everything being ready; None if it was ready before."""

    def text(self) -> str:
        """The whole of it."""
        return "\n".join([self._heading(), self._curl(), self._snippet(), self._more()])

    def _heading(self) -> str:
        shown = f"{self.key}\n             (shown once; kept for you in {self.key_file}, mode 0600)"
        kept = f"in {self.key_file} (`{self.command} key` prints it)"
        return (
            f"\nCapstan is {'running' if self.took_s is None else f'ready, after {self.took_s:.0f} s'}.\n\n"
            f"  Base URL   {self.base_url}\n"
            f"  API key    {shown if self.key else kept}\n"
            f"  Model      {self.model}\n"
            f"  Admin API  {self.admin_url} (`{self.command} projects`, `keys`, `limits`; only from this machine)\n"
        )

    def _curl(self) -> str:
        bearer = self.key or f'$(cat "{self.key_file}")'
        body = f'{{"model": "{self.model}", "messages": [{{"role": "user", "content": "{QUESTION}"}}]}}'
        return (
            f"curl {self.base_url}/chat/completions -H 'Content-Type: application/json' "
            f"-H \"Authorization: Bearer {bearer}\" -d '{body}'\n"
        )

    def _snippet(self) -> str:
        key = f'"{self.key}"' if self.key else f'open("{self.key_file}").read().strip()'
        return (
            f"from openai import OpenAI\n"
            f'client = OpenAI(base_url="{self.base_url}", api_key={key})\n'
            f'question = {{"role": "user", "content": "{QUESTION}"}}\n'
            f'answer = client.chat.completions.create(model="{self.model}", messages=[question])\n'
            f"print(answer.choices[0].message.content)\n"
        )

    def _more(self) -> str:
        words = ("chat", "status", "logs", "doctor", "down")
        return "  ".join(f"{self.command} {word}" for word in words)
