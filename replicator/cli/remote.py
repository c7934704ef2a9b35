"""A verb that a control API does: the same options, the same output, the same exit code."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson
import typer
from pydantic import ValidationError

from replicator.cli.command import Call, agree, attempt, finish
from replicator.cli.remote_looks import quick_look
from replicator.cli.service_client import ServiceClient
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.screen import Screen
from replicator.control.requests.planned import Planned, RestoreRequest
from replicator.control.requests.verb_request import Argument, VerbRequest
from replicator.control.requests.verbs import fits, fixed_of, flags_of, forms_of, known_of
from replicator.errors import ConfigError, TransientError
from replicator.model.observation import Progress
from replicator.model.operations.shown import escaped_json, printable

OWN: Final = frozenset({"--config", "--json", "--service"})
"""Options that stay here."""
HERE: Final = "type it on the machine of the service, without --service and REPLICATOR_SERVICE"
DOING: Final = {"expire": "an expiry", "repair": "a repair", "promote": "a promotion"}


def ask_service(call: Call, context: typer.Context, url: str) -> NoReturn:
    """Let a service do what was typed, print what came of it, and exit."""
    given = _typed(context)
    if (look := quick_look(call.command, given.options)) is not None:
        finish(call, lambda: look(ServiceClient(url, _token(call.environ))))
    attempt(call, lambda: _RemoteCall(call, given, url).done())


class _Typed:
    """What was typed for a verb."""

    def __init__(self, options: Mapping[str, Any], places: list[Any]) -> None:
        self.options, self.places = options, places


def _typed(context: typer.Context) -> _Typed:
    """Return the options that were given, by their names, and the arguments in their order."""
    options: dict[str, Any] = {}
    places: list[Any] = []
    for param in context.command.params:
        value = context.params.get(param.name or "")
        if param.param_type_name == "argument":
            places.append(value)
        elif _was_typed(context, param.name or ""):
            options |= {name: value for name in param.opts if name.startswith("--")}
    return _Typed({name: one for name, one in options.items() if name not in OWN}, places)


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


class _RemoteCall:
    """One verb on its way to a service and back."""

    def __init__(self, call: Call, typed: _Typed, url: str) -> None:
        self._call, self._typed = call, typed
        self._request = request_for(call.command, typed.options, typed.places)
        self._client = ServiceClient(url, _token(call.environ), call.service or "")

    def done(self) -> int:
        """Have the service do the verb, and return the exit code."""
        request = self._request
        columns = paper().width
        with Screen(quiet=self._call.as_json) as screen:

            def show_progress(progress: Mapping[str, Any]) -> None:
                screen.observe(
                    Progress(
                        what=progress["what"],
                        done=progress["done"],
                        total=progress["total"],
                        unit=progress["unit"],
                    )
                )

            self._client.on_progress = show_progress
            if not isinstance(request, Planned):
                return self._shown(self._client.job(request, columns), skip="")
            return self._agreed(request, columns)

    def _agreed(self, request: Planned, columns: int) -> int:
        """Plan, ask the operator, and run the plan by its digest."""
        options = self._typed.options
        plan = self._client.plan(request, columns)
        if options.get("--dry-run") or plan.get("plan") is None:
            return self._shown(plan, skip="")
        shown = ""
        if not options.get("--yes") and not self._call.as_json:
            shown = _text(self._client.text(plan["id"])["stdout"])
            sys.stdout.write(shown)
            sys.stdout.flush()
        target = request.changed[0]
        agree(target, yes=bool(options.get("--yes")), doing=DOING.get(request.name, "a restore"))
        return self._shown(self._client.run(plan["plan"], columns), skip=shown)

    def _shown(self, job: Mapping[str, Any], *, skip: str) -> int:
        """Print the output of an ended job; `skip` was printed before."""
        document = job["document"]
        if document is None or job["exit_code"] is None:
            raise TransientError(
                f"job {job['id']} is {job['state']}: {job['why']}",
                hint="it can be run again, with the same command",
            )
        text = self._client.text(job["id"])
        if self._call.as_json:
            data = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            sys.stdout.write(escaped_json(data.decode()))
        else:
            sys.stdout.write(_text(text["stdout"]).removeprefix(skip))
        sys.stderr.write(_text(text["stderr"]))
        code: int = job["exit_code"]
        return code


def request_for(command: str, options: Mapping[str, Any], places: list[Any]) -> VerbRequest:
    """Return the request that stands for a command line.

    Raises:
        ConfigError: a service cannot be asked for it.
    """
    if "--set" in options:
        raise ConfigError(
            "--set overrules the configuration of this machine, and the service has its own",
            hint=HERE,
        )
    known = list(forms_of(command.split()))
    for form in known:
        if fits(form, options):
            flags = flags_of(form)
            values = {flags[name]: value for name, value in options.items() if name in flags}
            return _made(form, values, places)
    raise _not_accepted(command, options, known)


def _not_accepted(
    command: str, options: Mapping[str, Any], known: list[type[VerbRequest]]
) -> ConfigError:
    """Return what refuses a command line that no request stands for: which options, and why."""
    strange = options.keys() - {name for form in known for name in known_of(form)}
    if strange:
        named = f"with {', '.join(sorted(strange))}"
    else:
        named = f"with {' '.join(sorted(options))} alone" if options else "alone"
    forms = [" ".join(sorted(fixed)) for form in known if (fixed := fixed_of(form))]
    ways = "" if strange or not forms else f"use {', or '.join(forms)}; or "
    return ConfigError(f"a service cannot be asked for `{command}` {named}", hint=f"{ways}{HERE}")


def _made(form: type[VerbRequest], values: dict[str, Any], places: list[Any]) -> VerbRequest:
    members = [
        name
        for name, field in form.model_fields.items()
        if any(isinstance(mark, Argument) for mark in field.metadata)
    ]
    given = dict(zip(members, places, strict=False))
    values |= {name: value for name, value in given.items() if value is not None}
    if form is RestoreRequest:
        values["quick"] = True
    plain = {form.model_fields[name].alias or name: _plain(one) for name, one in values.items()}
    try:
        return form.model_validate(plain)
    except ValidationError as exc:
        wrong = exc.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from exc


def _text(text: str) -> str:
    """Return a service's text as it can be shown: it is data, like a source's names."""
    return printable(text, lines=True)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; options of Typer may be enumerations."""
    return getattr(value, "value", value)


def _token(environ: Mapping[str, str]) -> str:
    """Return the operator's token.

    Raises:
        ConfigError: there is none, or its file cannot be read.
    """
    if token := environ.get("REPLICATOR_TOKEN"):
        return token
    if path := environ.get("REPLICATOR_TOKEN_FILE"):
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise ConfigError(f"REPLICATOR_TOKEN_FILE: {path} cannot be read: {exc}") from exc
    raise ConfigError(
        "no token for the service",
        hint=f"`replicator token create {os.environ.get('USER', 'NAME')} --role operator` on its"
        " machine makes one; put it into REPLICATOR_TOKEN, or its file into REPLICATOR_TOKEN_FILE",
    )
