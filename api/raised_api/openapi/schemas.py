"""The shapes of answers: for the OpenAPI document, and for tests to hold answers against."""

from typing import Any, Literal, TypedDict

from raised_api.http.envelope import AsOf

Time = str
Sats = int
Quality = Literal["ok", "degraded", "down", "off"]


class ProjectCounts(TypedDict):
    announced: int
    committed: int
    confirmed: int
    rejected: int
    event_missing: int


class Totals(TypedDict):
    raised_sats: Sats
    returned_sats: Sats
    net_sats: Sats
    unconfirmed_sats: Sats
    contributions: int
    contributors: int
    average_contribution_sats: Sats
    median_contribution_sats: Sats


class ProjectTotals(TypedDict):
    raised_sats: Sats
    returned_sats: Sats
    net_sats: Sats
    locked_sats: Sats
    claimed_sats: Sats
    unknown_sats: Sats
    in_penalty_sats: Sats
    penalty_released_sats: Sats
    unconfirmed_sats: Sats


class AngorTotals(ProjectTotals):
    investments: int
    investors: int
    rejected_investments: int


class InvoicesByStatus(TypedDict):
    New: int
    Processing: int
    Settled: int
    Expired: int
    Invalid: int
    Other: int


class OtherCurrency(TypedDict):
    currency: str
    amount: str


class BtcpayTotals(TypedDict):
    raised_sats: Sats
    returned_sats: Sats
    net_sats: Sats
    pending_sats: Sats
    disowned_sats: Sats
    off_platform_invoices: int
    invoices: int
    invoices_by_status: InvoicesByStatus
    other_currencies: list[OtherCurrency]


class Lately(TypedDict):
    raised_sats: Sats
    returned_sats: Sats
    contributions: int


class Summary(TypedDict):
    network: str
    as_of: AsOf
    projects: ProjectCounts
    totals: Totals
    angor: AngorTotals
    btcpay: BtcpayTotals
    last_24h: Lately
    last_7d: Lately
    last_30d: Lately


class Campaign(TypedDict):
    slug: str
    title: str
    target_sats: int | None
    percent: float | None
    projects: list[str]
    stores: list[str]
    totals: Totals
    angor: AngorTotals
    btcpay: BtcpayTotals


class CampaignDetail(Campaign):
    as_of: AsOf


class CampaignPage(TypedDict):
    items: list[Campaign]
    next_cursor: str | None
    as_of: AsOf


class Point(TypedDict):
    at: Time
    value: int
    cumulative: int | None
    partial: bool


class Series(TypedDict):
    metric: str
    bucket: str
    unit: str
    points: list[Point]
    as_of: AsOf


class Project(TypedDict):
    id: str
    network: str
    type: Literal["invest", "fund", "subscribe"] | None
    version: int | None
    status: Literal["announced", "committed", "confirmed", "rejected", "event_missing"]
    reason: str | None
    name: str | None
    about: str | None
    picture: str | None
    founder_key: str | None
    nostr_pubkey: str | None
    event_id: str | None
    founding_txid: str | None
    founded_height: int | None
    created_at: Time | None
    start_at: Time | None
    end_at: Time | None
    expiry_at: Time | None
    penalty_days: int | None
    target_sats: Sats | None
    percent: float | None
    reached_at: Time | None
    flags: list[str]
    candidates: int
    relays: int
    totals: ProjectTotals
    investors: int
    investments: int
    next_stage_at: Time | None
    campaign: str


class ProjectPage(TypedDict):
    items: list[Project]
    next_cursor: str | None
    as_of: AsOf


class Profile(TypedDict):
    """What the project says of itself on Nostr: nobody checked it."""

    name: str | None
    display_name: str | None
    about: str | None
    picture: str | None
    banner: str | None
    website: str | None
    nip05: str | None
    lud16: str | None
    updated_at: Time | None
    story: str | None
    faq: Any
    members: Any
    media: Any


class StageTerm(TypedDict):
    percent: float
    release_at: Time | None


class Pattern(TypedDict):
    pattern_id: int
    name: str | None
    frequency: str | None
    stage_count: int
    amount_sats: Sats | None


class Seeders(TypedDict):
    threshold: int
    secret_hashes: list[str]


class Terms(TypedDict):
    """What the committed event promises."""

    version: int
    type: str
    founder_key: str
    founder_recovery_key: str
    nostr_pubkey: str
    network_name: str
    start_at: Time | None
    end_at: Time | None
    expiry_at: Time | None
    penalty_days: int
    penalty_threshold_sats: Sats | None
    target_sats: Sats | None
    stages: list[StageTerm]
    patterns: list[Pattern]
    seeders: Seeders


class Stage(TypedDict):
    index: int | None
    release_at: Time | None
    share_percent: float | None
    outputs: int
    value_sats: Sats
    locked_sats: Sats
    claimed_sats: Sats
    recovery_sats: Sats
    unfunded_release_sats: Sats
    penalty_free_recovery_sats: Sats
    end_of_project_sats: Sats
    unknown_sats: Sats


class StageList(TypedDict):
    items: list[Stage]
    next_cursor: None
    as_of: AsOf


class ProjectDetail(Project):
    """A project with everything about it; `held_by` names the relays that hold its event."""

    profile: Profile | None
    terms: Terms | None
    stages: list[Stage]
    held_by: list[str]
    as_of: AsOf


class Penalty(TypedDict):
    txid: str
    vout: int
    state: Literal["in_penalty", "penalty_matured", "penalty_released"]
    matures_at: Time | None
    released_txid: str | None
    released_at: Time | None


class StageOutput(TypedDict):
    index: int
    vout: int
    value_sats: Sats
    release_at: Time | None
    expiry_at: Time | None
    state: Literal[
        "locked",
        "claim",
        "recovery",
        "unfunded_release",
        "penalty_free_recovery",
        "end_of_project",
        "unknown",
    ]
    spent_txid: str | None
    spent_height: int | None
    spent_at: Time | None
    penalty: Penalty | None


class Investment(TypedDict):
    txid: str
    project_id: str
    status: Literal["confirmed", "unconfirmed", "dropped", "unverified", "rejected"]
    reason: str | None
    flags: list[str]
    investor_key: str | None
    seeder: bool
    amount_sats: Sats
    fee_sats: Sats
    height: int | None
    block_hash: str | None
    at: Time | None
    stages: list[StageOutput]


class InvestmentDetail(Investment):
    as_of: AsOf


class InvestmentPage(TypedDict):
    items: list[Investment]
    next_cursor: str | None
    as_of: AsOf


class Investor(TypedDict):
    investor_key: str
    investments: int
    raised_sats: Sats
    returned_sats: Sats
    first_at: Time | None
    last_at: Time | None


class InvestorPage(TypedDict):
    items: list[Investor]
    next_cursor: str | None
    as_of: AsOf


class Change(TypedDict):
    seq: int
    type: str
    at: Time | None
    source: str
    campaign: str | None
    project_id: str | None
    reference: str | None
    data: Any


class ChangePage(TypedDict):
    items: list[Change]
    next_cursor: str | None
    as_of: AsOf


class Fault(TypedDict):
    name: str
    reason: str


class Problem(TypedDict):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault]
