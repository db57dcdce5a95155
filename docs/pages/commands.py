"""Sections of click commands: usage, what a command does, and its options."""

import inspect

import click

from docs.pages.models import escape


def command_section(command: click.Command) -> str:
    """Returns the section of one command of ``troop``."""
    context = click.Context(command, info_name=f"troop {command.name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## troop {command.name}", f"```console\n$ {usage}\n```", _prose(command)]
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        rows = [f"| {_words(option)} | {escape(option.help or '')}{_default(option)} |" for option in options]
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def _prose(command: click.Command) -> str:
    """Returns a command's docstring; what follows a ``\\b`` keeps its lines."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def _paragraph(text: str) -> str:
    if text.startswith("\b"):
        return "```text\n" + text.removeprefix("\b").strip("\n") + "\n```"
    return " ".join(text.split()).replace("``", "`").replace("<", "&lt;")


def _words(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    kind = option.type
    value = ", ".join(f"`{choice}`" for choice in kind.choices) if isinstance(kind, click.Choice) else ""
    return f"{names} {value or '`' + option.make_metavar(click.Context(click.Command('x'))) + '`'}"


def _default(option: click.Option) -> str:
    if not option.show_default or option.default in (None, False):
        return ""
    return f" Default: `{option.default}`."
