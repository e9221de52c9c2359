"""Install Capstan into `.venv`: `python3 -m tools.install [cpu|dev]`."""

import sys

OLDEST = (3, 11)
NEWEST = (3, 13)


def refusal(version: "tuple[int, ...]") -> str:
    """What to tell a Python that cannot run Capstan; "" if it can."""
    if OLDEST <= version[:2] <= NEWEST:
        return ""
    found = ".".join(str(part) for part in version[:3])
    return (
        f"Capstan needs Python 3.11, 3.12 or 3.13 and this is {found}: name another, as in `make up PYTHON=python3.12`."
    )


if __name__ == "__main__":
    sentence = refusal(sys.version_info[:3])
    if sentence:
        print(sentence, file=sys.stderr)
        sys.exit(1)
    from tools.install.program import main  # not before the check: older Pythons cannot even read it

    sys.exit(main(sys.argv[1:]))
