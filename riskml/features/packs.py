"""Feature packs: one line of a recipe becomes the plain groups a modeler would have written for the entities at hand.

In go a recipe and its ``[packs]``; out come feature groups, network groups and derived features, each visible by name
in the plan like any other. The first entity of the events is the actor whose habits are known (or the first of ``by``).
Windows end: a lifetime grows with the age of the log, and a model trained on its first weeks would not know what it
sees later. Refuses unknown packs, and packs that need what the recipe lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from riskml.errors import Problem, near_matches
from riskml.features.naming import Aggregate, node_name
from riskml.recipe.spec import DAY, HOUR, FeatureGroup, NetworkGroup, Pack, Recipe, Stream

Windows = tuple[int | None, ...]


@dataclass(frozen=True)
class Expansion:
    """What the packs of a recipe stand for; ``places`` says which pack made each group."""

    features: tuple[tuple[str, FeatureGroup], ...] = ()
    network: tuple[tuple[str, NetworkGroup], ...] = ()
    derive: Mapping[str, str] | None = None
    problems: tuple[Problem, ...] = ()


class NotHere(Exception):
    """The recipe lacks what a pack needs; ``hint`` says what would do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def expand(recipe: Recipe) -> Expansion:
    """Every group that the recipe's packs stand for, in the recipe's order."""
    features: list[tuple[str, FeatureGroup]] = []
    network: list[tuple[str, NetworkGroup]] = []
    derive: dict[str, str] = {}
    problems: list[Problem] = []
    file = recipe.file.name if recipe.file else "recipe"
    for name, pack in recipe.packs.items():
        key = f"packs.{name}"
        if name not in PACKS:
            hint = near_matches(name, PACKS) or f"known: {', '.join(PACKS)}"
            problems.append(Problem(file, key, f"no pack `{name}`", hint))
            continue
        known = (*recipe.events.entities, *(recipe.events.inputs if PACKS[name].columns else ()))
        lacking = [entity for entity in dict.fromkeys((*pack.by, *pack.edge)) if entity not in known]
        for entity in lacking:
            hint = near_matches(entity, known) or f"known: {', '.join(known)}"
            what = "entity or input" if PACKS[name].columns else "entity"
            problems.append(Problem(file, key, f"`{entity}` is no {what} of the events", hint))
        if lacking:
            continue
        try:
            made = list(PACKS[name].expand(_Scene(recipe, pack)))
        except NotHere as error:
            problems.append(Problem(file, key, str(error), error.hint))
            continue
        for group in made:
            if isinstance(group, FeatureGroup):
                features.append((key, group))
            elif isinstance(group, NetworkGroup):
                network.append((key, group))
            else:
                derive |= group
    return Expansion(tuple(features), tuple(network), derive, tuple(problems))


@dataclass(frozen=True)
class _Scene:
    """A recipe seen by one pack: who acts, what else there is, and over which windows."""

    recipe: Recipe
    pack: Pack

    @property
    def entities(self) -> tuple[str, ...]:
        return self.pack.by or tuple(self.recipe.events.entities)

    @property
    def actor(self) -> str:
        return next(iter(self.pack.by or self.recipe.events.entities), "")

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(name for name in self.entities if name != self.actor)

    @property
    def amount(self) -> str | None:
        return self.recipe.events.amount

    def over(self, *usual: int) -> Windows:
        return self.pack.over or usual

    def by(self, *names: str) -> tuple[tuple[str, ...], ...]:
        return tuple((name,) for name in names)

    def need_others(self) -> None:
        if self.others:
            return
        hint = "declare a device, an address or a card in events.entities"
        if beside := [name for name in self.recipe.events.entities if name != self.actor]:
            hint = f'`by` needs two, the actor first: by = ["{self.actor}", "{beside[0]}"]'
        raise NotHere("needs at least two entities", hint)

    def pairs(self, stream: Stream) -> tuple[tuple[str, str], ...]:
        """The actor with each other entity of a stream; two that are one column there say nothing and are left out."""
        columns = stream.entities
        known = (other for other in self.others if {self.actor, other} <= set(columns))
        return tuple((self.actor, other) for other in known if columns[other] != columns[self.actor])

    def named(self, aggregate: str, column: str | None, window: int | None) -> str:
        """The feature of the actor's own events."""
        return node_name((self.actor,), "events", Aggregate(aggregate, column), window)


Made = Iterable[FeatureGroup | NetworkGroup | dict[str, str]]


def _velocity(scene: _Scene) -> Made:
    amounts = (f"sum({scene.amount})",) if scene.amount else ()
    over = scene.over(HOUR, DAY, 7 * DAY, 30 * DAY)
    yield FeatureGroup(source="events", by=scene.by(*scene.entities), over=over, compute=("count", *amounts))
    for name, source in scene.recipe.sources.items():
        shared = tuple(entity for entity in scene.entities if entity in source.entities)
        if shared:
            yield FeatureGroup(source=name, by=scene.by(*shared), over=over, compute=("count",))


def _own_history(scene: _Scene) -> Made:
    over = scene.over(30 * DAY)
    who = scene.by(scene.actor)
    yield FeatureGroup(source="events", by=who, over=over, compute=("count", "since_first", "since_last"))
    if scene.amount is None:
        return
    amount = scene.amount
    compute = (f"mean({amount})", f"max({amount})", f"std({amount})", f"last({amount})", f"decay({amount}, 7d)")
    yield FeatureGroup(source="events", by=who, over=over, compute=compute)
    mean, top, spread = (scene.named(what, amount, over[-1]) for what in ("mean", "max", "std"))
    yield {
        f"{scene.actor}_{amount}_vs_mean": f"{amount} / {mean}",
        f"{scene.actor}_{amount}_vs_max": f"{amount} / {top}",
        f"{scene.actor}_{amount}_deviation": f"({amount} - {mean}) / {spread}",
    }


def _novelty(scene: _Scene) -> Made:
    scene.need_others()
    over = scene.over(30 * DAY)
    if pairs := scene.pairs(scene.recipe.events):
        yield FeatureGroup(source="events", by=pairs, over=over, compute=("is_new", "since_first", "count"))
    yield FeatureGroup(source="events", by=scene.by(*scene.others), over=over, compute=("since_first",))
    for name, source in scene.recipe.sources.items():
        if seen := scene.pairs(source):
            yield FeatureGroup(source=name, by=seen, over=over, compute=("is_new", "since_first"))


def _sharing(scene: _Scene) -> Made:
    scene.need_others()
    over = scene.over(DAY, 7 * DAY, 30 * DAY)
    others = [other for _, other in scene.pairs(scene.recipe.events)]
    if not others:
        return
    yield FeatureGroup(source="events", by=scene.by(*others), over=over, compute=(f"distinct({scene.actor})",))
    counts = tuple(f"distinct({other})" for other in others)
    yield FeatureGroup(source="events", by=scene.by(scene.actor), over=over, compute=counts)


def _known_bad(scene: _Scene) -> Made:
    over = scene.over(7 * DAY, 30 * DAY, 90 * DAY)
    yield FeatureGroup(source="labels", by=scene.by(*scene.entities), over=over, compute=("count",))
    yield FeatureGroup(source="labels", by=scene.by(*scene.entities), over=over[-1:], compute=("since_last",))
    if scene.others:
        measures = ("known_bad", "hops_to_known_bad(2)", "bad_share(1)", "bad_share(2)")
        yield NetworkGroup(of=scene.actor, link=scene.others, name="shared", compute=measures)


def _delayed_risk(scene: _Scene) -> Made:
    over = scene.over(30 * DAY, 90 * DAY)
    who = scene.by(*(scene.others or scene.entities))
    yield FeatureGroup(source="events", by=who, over=over, compute=("rate",))
    yield FeatureGroup(source="events", by=who, over=over[-1:], compute=("last_k(label, 3)",))


def _category_risk(scene: _Scene) -> Made:
    if not scene.pack.by:
        raise NotHere("needs `by`, the inputs or entities to rate", 'write category_risk = { by = ["merchant"] }')
    over = scene.over(30 * DAY, 90 * DAY)
    yield FeatureGroup(source="events", by=scene.by(*scene.pack.by), over=over, compute=("count", "rate"))


def _flow(scene: _Scene) -> Made:
    if len(scene.pack.edge) != 2:
        raise NotHere("needs `edge`, the two entities of one payment", 'write flow = { edge = ["sender", "receiver"] }')
    payer, payee = scene.pack.edge
    if payer == payee:
        raise NotHere("`edge` must name two different entities", "name who pays and who is paid")
    over, amount = scene.over(DAY, 7 * DAY, 30 * DAY), scene.amount
    sums = (f"sum({amount})",) if amount else ()
    group = partial(FeatureGroup, source="events", over=over)
    yield group(by=((payer,),), compute=("count", *sums, f"distinct({payee})"))
    yield group(by=((payee,),), compute=("count", *sums, f"distinct({payer})"))
    yield group(by=((payer, payee),), compute=("count", "since_first"))
    back = {payer: payee, payee: payer}
    yield group(name="paid_back", match=back, compute=("count",))
    received = ("count", *sums, f"distinct({payer})", "since_last")
    yield group(name="received", match={payer: payee}, compute=received)
    sent = ("count", *sums, f"distinct({payee})", "since_last")
    yield group(name="sent", match={payee: payer}, compute=sent)
    passed = (f"passed({amount})", "passing_time") if amount else ("passing_time",)
    for end in (payer, payee):
        yield NetworkGroup(of=end, edge=(payer, payee), name="payments", compute=passed, over=over)


@dataclass(frozen=True)
class KnownPack:
    """A pack's purpose, how it unfolds, and whom it is of."""

    meaning: str
    expand: Callable[[_Scene], Made]
    columns: bool = False  # whether `by` may name raw inputs too


PACKS: Mapping[str, KnownPack] = {
    "velocity": KnownPack("how many and how much, in every stream, by every entity", _velocity),
    "own_history": KnownPack("this event against the actor's own amounts and pace", _own_history),
    "novelty": KnownPack("what the actor was never seen with before", _novelty),
    "sharing": KnownPack("how many actors share a device, card or address, and the reverse", _sharing),
    "known_bad": KnownPack("confirmed frauds on the same entities, and around them", _known_bad),
    "delayed_risk": KnownPack(
        "the share of frauds among matured events of an entity, and its last outcomes", _delayed_risk
    ),
    "category_risk": KnownPack(
        "how common a category is, and the share of frauds among its matured events", _category_risk, columns=True
    ),
    "flow": KnownPack("fan-in, fan-out, money sent back and money passed through", _flow),
}
