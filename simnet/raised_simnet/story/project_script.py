"""A founder with a project, and those who invest in it: turns their intentions into steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raised.domain.bitcoin.tx import TxOut
from raised_simnet.actors.announcing import (
    profile_event,
    project_event,
    text_event,
    withdrawal_event,
)
from raised_simnet.actors.funding_txs import (
    ClientQuirks,
    FundedStage,
    Pledge,
    founding_outputs,
    funding_tx,
)
from raised_simnet.actors.keys import Key, secret_of
from raised_simnet.actors.nostr_event import Event
from raised_simnet.actors.op_returns import DynamicChoice
from raised_simnet.actors.project_plan import ProjectPlan
from raised_simnet.actors.stage_scripts import secret_hash_of
from raised_simnet.actors.stage_spends import RecoveryKeys, reveal
from raised_simnet.story.steps import (
    Address,
    ByClaim,
    ByEnd,
    ByRecovery,
    BySecrets,
    Founds,
    FreePenalty,
    Invests,
    Label,
    Leave,
    Meaning,
    Mimics,
    Pay,
    Penalty,
    Publish,
    StageRef,
    Way,
)
from raised_simnet.story.storyboard import Storyboard

STANDARD = ClientQuirks()


@dataclass(frozen=True, slots=True)
class Founder:
    """The keys of one founder."""

    name: str
    claim: Key
    recovery: Key
    nostr: Key


def founder_of(storyboard: Storyboard, name: str) -> Founder:
    """The founder of the project with this name."""
    keys = (storyboard.key(f"{name} {role}") for role in ("founder", "recovery", "nostr"))
    return Founder(name, *keys)


@dataclass(frozen=True, slots=True)
class Intent:
    """How somebody invests: the amount, the pattern, the secret, the client's habits.

    `extra`: outputs behind the stages; `exact`: no change; `wait`: blocks in the mempool.
    """

    gross: int
    choice: DynamicChoice | None = None
    seeder: int | None = None
    habit: ClientQuirks = STANDARD
    extra: tuple[TxOut, ...] = ()
    exact: bool = False
    wait: int = 0


class ProjectScript:
    """One project in the script. Each method adds a step and returns what later ones refer to."""

    def __init__(self, storyboard: Storyboard, founder: Founder, plan: ProjectPlan) -> None:
        self.storyboard = storyboard
        self.founder = founder
        self.plan = plan
        self.name = founder.name
        self.event = project_event(founder.nostr, plan, storyboard.stamp())
        self._owners: dict[Label, str] = {}
        self._sent: dict[Label, Pay] = {}

    def investor(self, who: str) -> Key:
        """The key of somebody in this project."""
        return self.storyboard.key(f"{self.name} investor {who}")

    def stage(self, ref: StageRef) -> FundedStage:
        """A stage of an investment that was sent."""
        meaning = self._sent[ref.label].meaning
        assert isinstance(meaning, Invests), "only investments have stages"
        return meaning.placement.stages[ref.index]

    def ripe(self, refs: Sequence[StageRef]) -> int:
        """The first turn in which the founder can claim all of these."""
        return max(self.storyboard.ripe(self.stage(ref).release_at) for ref in refs)

    # Nostr.

    def announce(self, turn: int, relays: tuple[int, ...] | None = None) -> None:
        """Publish the terms, a profile and a text."""
        self.publish(turn, self.event, relays=relays)
        at, title = self.storyboard.stamp(), self.name.capitalize()
        about = f"{title}, a project of the simnet"
        self.storyboard.do(turn, Publish(profile_event(self.founder.nostr, at, title, about)))
        self.storyboard.do(
            turn, Publish(text_event(self.founder.nostr, at, "project", f"# {title}"))
        )

    def publish(
        self,
        turn: int,
        event: Event,
        *,
        sound: bool = True,
        relays: tuple[int, ...] | None = None,
    ) -> None:
        """Publish an event that claims to be this project's terms."""
        self.storyboard.do(turn, Publish(event, self.plan.identifier, sound, relays=relays))

    def withdraw(self, turn: int) -> None:
        """Take the announcement back."""
        event = withdrawal_event(self.founder.nostr, self.storyboard.stamp(), self.event)
        self.storyboard.do(turn, Publish(event, withdraws=self.event["id"]))

    # Payments.

    def pay(self, turn: int, what: str, outputs: Sequence[TxOut], meaning: Meaning = None) -> Pay:
        """Send these outputs from a fresh coin."""
        label = self.storyboard.label(f"{self.name} {what}")
        return self.send(turn, Pay(label, tuple(outputs), meaning, self.storyboard.coin()))

    def send(self, turn: int, pay: Pay) -> Pay:
        """Send this payment."""
        self.storyboard.do(turn, pay)
        self._sent[pay.label] = pay
        return pay

    def found(self, turn: int, *, event: Event | None = None, wait: int = 0) -> Label:
        """Send the founding transaction."""
        event_id = (event or self.event)["id"]
        label = self.storyboard.label(f"{self.name} founding")
        meaning = Founds(self.plan.identifier, event_id)
        outputs = founding_outputs(self.plan, event_id)
        return self.send(turn, Pay(label, outputs, meaning, self.storyboard.coin(), wait)).label

    def invest(
        self, turn: int, who: str, intent: Intent, money: int | Label | None = None
    ) -> Label:
        """Send an investment, from a fresh coin or a named one."""
        label = self.storyboard.label(f"{self.name} {who}")
        meaning = self.invests(who, intent)
        outputs = (*meaning.placement.outputs, *intent.extra)
        source = self.storyboard.coin() if money is None else money
        pay = Pay(label, outputs, meaning, source, intent.wait, exact=intent.exact)
        self._owners[label] = who
        return self.send(turn, pay).label

    def invests(self, who: str, intent: Intent) -> Invests:
        """What such an investment means, without sending it."""
        hashed = None
        if intent.seeder is not None:
            hashed = secret_hash_of(seeder_secret(self.storyboard, self.name, intent.seeder))
        key = self.investor(who).public
        pledge = Pledge(key, intent.gross, hashed, intent.choice)
        placement = funding_tx(self.plan, pledge, intent.habit)
        return Invests(self.plan.identifier, self.event["id"], key, placement)

    def mimic(self, turn: int, what: str, outputs: Sequence[TxOut]) -> Label:
        """Send something that looks like an investment in this project and must not count."""
        return self.pay(turn, what, outputs, Mimics(self.plan.identifier)).label

    def replace(self, turn: int, label: Label, intent: Intent | None) -> Label:
        """Pay again from the same coin for a higher fee: another investment, or nothing at all."""
        old, who = self._sent[label], self._owners[label]
        again = replace(old, label=self.storyboard.label(f"{label} replaced"), extra_fee=5000)
        if intent is None:
            return self.send(turn, replace(again, outputs=(), meaning=None, wait=0)).label
        meaning = self.invests(who, intent)
        self._owners[again.label] = who
        outputs = meaning.placement.outputs
        again = replace(again, outputs=outputs, meaning=meaning, wait=intent.wait)
        return self.send(turn, again).label

    # Exits.

    def claim(self, refs: Sequence[StageRef], turn: int | None = None, wait: int = 0) -> Label:
        """The founder takes these stage outputs, as soon as they are ripe unless told when."""
        way = ByClaim(self.founder.claim)
        when = self.ripe(refs) if turn is None else turn
        return self._leave(when, "claim", refs, way, wait)

    def end(self, turn: int, refs: Sequence[StageRef]) -> Label:
        """An investor takes back what is left."""
        investor = self._owner(refs)
        return self._leave(turn, "end", refs, ByEnd(investor))

    def leave_by_secrets(
        self, turn: int, refs: Sequence[StageRef], seeders: Sequence[int]
    ) -> Label:
        """An investor leaves by the secrets of these seeders."""
        investor = self._owner(refs)
        places = range(len(self.plan.secret_hashes))
        secrets = [seeder_secret(self.storyboard, self.name, funding_tx) for funding_tx in places]
        way = BySecrets(investor, reveal(secrets, seeders))
        return self._leave(turn, "secrets", refs, way)

    def recover(
        self,
        turn: int,
        places: Mapping[StageRef, Penalty | Address],
        *,
        seeder: int | None = None,
        wait: int = 0,
    ) -> Label:
        """Investor and founder move each output to its place, in this order."""
        investor = self._owner(tuple(places))
        secret = None if seeder is None else seeder_secret(self.storyboard, self.name, seeder)
        keys = RecoveryKeys(investor, self.founder.recovery, secret)
        way = ByRecovery(keys, tuple(places.values()), self.storyboard.coin())
        return self._leave(turn, "recovery", tuple(places), way, wait)

    def penalise(self, turn: int, refs: Sequence[StageRef], **how: int) -> Label:
        """An investor leaves into the penalty with all of these."""
        return self.recover(turn, dict.fromkeys(refs, Penalty(self.plan.penalty_days)), **how)

    def release(self, turn: int, refs: Sequence[StageRef]) -> Label:
        """The founder lets an investor go from an unfunded project."""
        return self.recover(turn, dict.fromkeys(refs, Address(self._owner(refs).address_script)))

    def free(self, turn: int, recovery: Label, vins: Sequence[int]) -> Label:
        """An investor takes penalty outputs of this recovery."""
        label = self.storyboard.label(f"{recovery} freed")
        investor = self.investor(self._owners[recovery])
        self.storyboard.do(turn, FreePenalty(label, recovery, tuple(vins), investor))
        return label

    def _owner(self, refs: Sequence[StageRef]) -> Key:
        return self.investor(self._owners[refs[0].label])

    def _leave(
        self, turn: int, what: str, refs: Sequence[StageRef], way: Way, wait: int = 0
    ) -> Label:
        first = refs[0].label
        label = self.storyboard.label(f"{first} {what}")
        self._owners[label] = self._owners[first]
        self.storyboard.do(turn, Leave(label, tuple(refs), way, wait))
        return label


def stages(label: Label, *indices: int) -> tuple[StageRef, ...]:
    """These stage outputs of an investment."""
    return tuple(StageRef(label, index) for index in indices)


def seeder_secret(storyboard: Storyboard, name: str, funding_tx: int) -> bytes:
    """What the seeder with this place in a project's list keeps."""
    return secret_of(storyboard.seed, f"{name} {funding_tx}")
