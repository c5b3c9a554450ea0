"""`python -m ferray.ledger`: lists what was run, shows one trial, runs trials again, removes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ferray import command
from ferray.errors import LedgerError
from ferray.ledger import catalog, removal, tables
from ferray.ledger.catalog import Entry, Filters
from ferray.ledger.details import details, page
from ferray.ledger.reading import DEFAULT_STORAGE, Ledger

app = typer.Typer(
    add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help="What was run: look at it, keep it in order."
)

Storage = Annotated[Path, typer.Option(help="The folder with the records.")]
Keys = Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="The first digits of trials' keys.")]
OfStudy = Annotated[str | None, typer.Option(help="Trials of this study.")]
Variants = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Of this variant; may be given several times, like the next.")]
Seeds = Annotated[list[int] | None, typer.Option(help="With this seed.")]
Statuses = Annotated[list[str] | None, typer.Option(help="finished, diverged, stopped, failed, running, interrupted or damaged.")]
Since = Annotated[str | None, typer.Option(metavar="WHEN", help="Not older: a date such as 2026-11-24, or 30m, 12h, 3d ago.")]
Settings = Annotated[list[str] | None, typer.Option("--config", metavar="NAME=VALUE", help="With this value in their config.")]
Unused = Annotated[bool, typer.Option("--unused", help="That no study plans any more.")]
AsJson = Annotated[bool, typer.Option("--json", help="Prints JSON.")]


@app.command("list")
def list_trials(
    study: OfStudy = None,
    variant: Variants = None,
    seed: Seeds = None,
    status: Statuses = None,
    since: Since = None,
    config: Settings = None,
    unused: Unused = False,
    studies: Annotated[bool, typer.Option("--studies", help="The studies instead of their trials.")] = False,
    as_json: AsJson = False,
    storage: Storage = Path(DEFAULT_STORAGE),
) -> None:
    """Lists trials, the newest last, or studies."""
    ledger = _ledger(storage)
    chosen = catalog.select(ledger, _filters(study, variant, seed, status, since, config, unused))
    if studies:
        _list_studies(ledger, chosen, study, as_json=as_json)
    elif as_json:
        _print_json([_as_object(entry) for entry in chosen])
    else:
        digits = catalog.digits(ledger.keys())
        tables.show(tables.TRIAL_COLUMNS, [tables.trial_row(entry, digits) for entry in chosen])
        print(f"{_many(len(chosen), 'trial')} in {ledger.path}{_told(chosen)}")


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="The first digits of a trial's key.")],
    test: Annotated[bool, typer.Option("--test", help="With the figures on test; the study's openings then tell so.")] = False,
    as_json: AsJson = False,
    storage: Storage = Path(DEFAULT_STORAGE),
) -> None:
    """Shows one trial: config, environment, epochs, files, studies, failure and damage."""
    ledger = _ledger(storage)
    found = details(ledger, catalog.resolve(ledger, key), test=test)
    if as_json:
        _print_json(found)
    else:
        print("\n".join(page(found)))


@app.command()
def rerun(
    keys: Keys = None,
    failed: Annotated[bool, typer.Option("--failed", help="The failed trials; short for --status failed.")] = False,
    diverged: Annotated[bool, typer.Option("--diverged", help="The diverged trials; short for --status diverged.")] = False,
    study: OfStudy = None,
    variant: Variants = None,
    seed: Seeds = None,
    status: Statuses = None,
    since: Since = None,
    config: Settings = None,
    data: Annotated[str | None, typer.Option(help="Where the data lie now, if not where they were.")] = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keeps the weights, for ferray.export, also where the study does not.")
    ] = False,
    local: Annotated[bool, typer.Option("--local", help="In this process, one after another, without Ray.")] = False,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to run on; RAY_ADDRESS serves too.")] = None,
    storage: Storage = Path(DEFAULT_STORAGE),
) -> None:
    """Runs exactly the chosen trials again; what they left before is put aside, not lost."""
    ledger = _ledger(storage)
    wanted = [*(status or []), *(["failed"] if failed else []), *(["diverged"] if diverged else [])]
    filters = _filters(study, variant, seed, wanted, since, config)
    if not filters and not keys:
        raise LedgerError("say what to run again: KEY..., --failed, --diverged, --study NAME, or other filters")
    chosen = _chosen(ledger, keys or [], filters)
    if not chosen:
        print("no trial fits; nothing to run again")
        return
    from ferray.ledger.rerun import rerun as run_again

    options = {"keep_weights": keep_weights, "local": local, "address": address}
    outcomes = run_again(ledger, chosen, study=study, data=data, say=lambda line: print(line, flush=True), **options)  # type: ignore[arg-type]
    for outcome in outcomes:
        ended = ", ".join(f"{count} {name}" for name, count in sorted(outcome.statuses.items()))
        print(f"study {outcome.study}: {ended}; python -m ferray.report {outcome.study} writes its report again")
    if any(outcome.interrupted for outcome in outcomes):
        print("interrupted: finished trials are kept, half-trained ones go on from their last epoch when the study is run")
        sys.exit(130)
    if any(outcome.failures for outcome in outcomes):
        sys.exit(1)


@app.command()
def remove(
    keys: Keys = None,
    study: Annotated[str | None, typer.Option(help="The whole study, or with filters only such trials of it.")] = None,
    variant: Variants = None,
    seed: Seeds = None,
    status: Statuses = None,
    since: Since = None,
    config: Settings = None,
    unused: Unused = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Does not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Says what would go, and removes nothing.")] = False,
    storage: Storage = Path(DEFAULT_STORAGE),
) -> None:
    """Removes trials, or a study with all that only it has; says what goes and asks before."""
    ledger = _ledger(storage)
    prepared = removal.prepare(ledger, _filters(study, variant, seed, status, since, config, unused), keys or [])
    if not prepared.folders:
        elsewhere = f" ({_many(len(prepared.shared), 'trial')} that other studies have too)" if prepared.shared else ""
        print(f"no trial fits; nothing to remove{elsewhere}")
        return
    digits = catalog.digits(ledger.keys())
    if prepared.trials:
        tables.show(tables.TRIAL_COLUMNS, [tables.trial_row(entry, digits) for entry in prepared.trials])
    what = [f"study {prepared.study}, its report"] if prepared.study else []
    what.append(f"{_many(len(prepared.trials), 'trial')}{_told(prepared.trials)}")
    print(f"to remove: {' and '.join(what)}; frees {tables.amount(prepared.size)}")
    if prepared.shared:
        others = sorted({place.study for entry in prepared.shared for place in entry.places if place.study != study})
        print(f"to stay: {_many(len(prepared.shared), 'trial')} that other studies have too ({', '.join(others)})")
    planned = sorted({place.study for entry in prepared.trials for place in entry.places} - {prepared.study})
    if planned:
        print(f"planned by {', '.join(planned)}, so that running the study again trains them again")
    if dry_run:
        return
    if not yes and not _agreed():
        print("nothing was removed")
        sys.exit(1)
    busy = removal.remove(ledger, prepared)
    print(f"removed {_many(len(prepared.trials) - len(busy), 'trial')} from {ledger.path}")
    if busy:
        raise LedgerError(f"{_many(len(busy), 'trial')} began to run meanwhile and stay, such as {busy[0].label} ({busy[0].key})")


def _ledger(storage: Path) -> Ledger:
    ledger = Ledger(storage)
    if not ledger.exists():
        raise LedgerError(f"nothing has been run into {storage}; say where the records are with --storage DIR")
    return ledger


def _filters(
    study: str | None,
    variants: list[str] | None,
    seeds: list[int] | None,
    statuses: list[str] | None,
    since: str | None,
    config: list[str] | None,
    unused: bool = False,
) -> Filters:
    moment = None if since is None else catalog.moment(since)
    chosen = (tuple(variants or ()), tuple(seeds or ()), tuple(statuses or ()))
    return Filters(study, *chosen, moment, catalog.settings(config or ()), unused)


def _chosen(ledger: Ledger, keys: list[str], filters: Filters) -> list[Entry]:
    named = [catalog.resolve(ledger, key) for key in keys]
    if not filters:
        return catalog.entries(ledger, dict.fromkeys(named))
    return [entry for entry in catalog.select(ledger, filters) if not named or entry.key in named]


def _list_studies(ledger: Ledger, trials: list[Entry], only: str | None, *, as_json: bool) -> None:
    found = [_study(ledger, name, trials) for name in (ledger.studies() if only is None else [only])]
    if as_json:
        _print_json(found)
        return
    columns = ("study", "data", "variants", "planned", "trials", "last run")
    rows = [
        [*(str(one[name]) for name in columns[:4]), _counts(one["statuses"]) or one["damage"] or "none", one["created"]] for one in found
    ]
    tables.show(columns, rows)


def _study(ledger: Ledger, name: str, trials: list[Entry]) -> dict[str, Any]:
    damage = None
    try:
        document = ledger.study(name)
    except LedgerError as fault:
        document, damage = {}, str(fault)
    own = [entry for entry in trials if any(place.study == name for place in entry.places)]
    return {
        "study": name,
        "title": document.get("title"),
        "data": document.get("data", {}).get("name", "-"),
        "variants": len(document.get("variants", ())),
        "planned": len({one["key"] for one in document.get("plan", ())}),
        "statuses": catalog.statuses(own),
        "created": document.get("created", "-"),
        "damage": damage,
    }


def _as_object(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "status": entry.status,
        "studies": [vars(place) for place in entry.places],
        "seed": entry.seed,
        "epochs": entry.epochs,
        "selected_epoch": entry.selected_epoch,
        "validation_accuracy": entry.accuracy,
        "seconds": entry.seconds,
        "devices": [{"kind": one.kind, "model": one.model, "precision": one.precision} for one in entry.devices],
        "when": None if entry.when is None else entry.when.isoformat(),
        "data": entry.data,
        "config": entry.config,
    }


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise LedgerError("nobody can be asked here, since the input is no terminal; add --yes to remove it, or --dry-run to look")
    try:
        return input("Remove it for good? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _told(entries: Iterable[Entry]) -> str:
    counts = _counts(catalog.statuses(entries))
    return f" ({counts})" if counts else ""


def _counts(statuses: dict[str, int]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.items())


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    command.run(app)
