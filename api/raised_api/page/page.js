import { follow } from "/assets/stream.js";

const MOST_LINES = 200;
const FIRST_LINES = 60;
const RELOAD_MS = 300;

const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const sats = (amount) => `${whole.format(amount)} sats`;

function made(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  return element;
}

async function load(path) {
  const answer = await fetch(path, { cache: "no-cache" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

function showSummary(summary) {
  const { totals, angor, btcpay, as_of: ground, projects } = summary;
  at("network").textContent = summary.network;
  const tip = ground.height === null ? "no block yet" : `block ${whole.format(ground.height)}`;
  at("ground").textContent = `as of ${tip} · relays ${ground.sources.relays} · chain ${ground.sources.chain}${ground.sources.btcpay === "off" ? "" : ` · BTCPay ${ground.sources.btcpay}`}`;
  const notice = at("notice");
  notice.hidden = !ground.stale;
  notice.textContent = ground.stale ? "These numbers may be behind: the daemon or a source is away." : "";
  const committed = projects.confirmed + projects.committed + projects.event_missing;
  at("counts").textContent = `${whole.format(committed)} on the chain, ${whole.format(projects.announced)} announced, ${whole.format(projects.rejected)} rejected`;
  const figures = [
    ["Raised", sats(totals.raised_sats), `${whole.format(totals.contributions)} contributions of ${whole.format(totals.contributors)} contributors`, "first"],
    ["Returned", sats(totals.returned_sats), `${sats(angor.in_penalty_sats)} in penalty`],
    ["Net", sats(totals.net_sats), "raised less returned"],
    ["Locked", sats(angor.locked_sats), "not spent yet"],
    ["Claimed", sats(angor.claimed_sats), "by founders"],
    ["Unconfirmed", sats(totals.unconfirmed_sats), "not counted"],
    ["Last 24 hours", sats(summary.last_24h.raised_sats), `${whole.format(summary.last_24h.contributions)} contributions`],
    ["Median", sats(totals.median_contribution_sats), `mean ${sats(totals.average_contribution_sats)}`],
  ];
  if (btcpay.invoices > 0) {
    figures.splice(1, 0,
      ["On the chain", sats(angor.raised_sats), `${whole.format(angor.investments)} investments in Angor projects`],
      ["Through BTCPay", sats(btcpay.raised_sats), `${whole.format(btcpay.invoices)} invoices, ${sats(btcpay.pending_sats)} pending`]);
  }
  if (angor.unknown_sats > 0) figures.push(["Unknown", sats(angor.unknown_sats), "left by a key path: look closer"]);
  at("totals").replaceChildren(...figures.map(([name, value, note, className]) => {
    const group = made("div", null, className);
    const figure = made("dd", value.replace(/ sats$/, ""));
    if (value.endsWith(" sats")) figure.append(made("span", " sats", "unit"));
    figure.append(made("small", note));
    group.append(made("dt", name), figure);
    return group;
  }));
}

function towards({ percent, target_sats: target }) {
  if (!target) return [];
  const bar = made("progress");
  bar.max = 100;
  bar.value = Math.min(100, percent);
  bar.setAttribute("aria-label", `${percent} percent of the target`);
  return [made("p", `${percent} % of ${sats(target)}`), bar];
}

function campaignCard(campaign) {
  const card = made("li");
  card.append(made("h3", campaign.title), made("p", sats(campaign.totals.raised_sats), "sum"), ...towards(campaign));
  const parts = [];
  if (campaign.projects.length > 0) parts.push(`${sats(campaign.angor.raised_sats)} on the chain`);
  if (campaign.stores.length > 0) parts.push(`${sats(campaign.btcpay.raised_sats)} through BTCPay`);
  const given = campaign.totals.contributions;
  card.append(made("p", parts.join(", ")), made("p", `${whole.format(given)} contribution${given === 1 ? "" : "s"}`));
  return card;
}

function projectCard(project) {
  const card = made("li");
  card.append(made("h3", project.name || "Project without a name"));
  const marks = made("p");
  for (const mark of [project.status.replace("_", " "), project.type, ...project.flags]) {
    if (mark) marks.append(made("span", mark, "mark"));
  }
  card.append(marks, made("p", sats(project.totals.raised_sats), "sum"));
  card.append(...towards(project));
  const investors = `${whole.format(project.investors)} investor${project.investors === 1 ? "" : "s"}`;
  const returned = project.totals.returned_sats ? `, ${sats(project.totals.returned_sats)} returned` : "";
  card.append(made("p", investors + returned));
  if (project.end_at) card.append(made("p", `ends ${day.format(new Date(project.end_at))}`));
  card.append(made("p", project.id, "id"));
  return card;
}

// What the feed calls a project whose identifier alone is in a change.
const names = new Map();
let pages = 1;

async function showProjects() {
  const cards = [];
  let cursor = null;
  for (let page = 0; page < pages; page += 1) {
    const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const found = await load(`/api/v1/projects?limit=50${from}`);
    for (const project of found.items) names.set(project.id, named(project));
    cards.push(...found.items.map(projectCard));
    cursor = found.next_cursor;
    if (!cursor) break;
  }
  at("projects").replaceChildren(...cards);
  at("no-projects").hidden = cards.length > 0;
  at("more").hidden = cursor === null;
}

const titles = new Map();

// A project by itself is shown as a project: campaigns are what was put together, and stores.
async function showCampaigns() {
  const found = await load("/api/v1/campaigns?limit=100");
  const campaigns = found.items.filter((one) => !one.slug.startsWith("angor1"));
  for (const one of campaigns) titles.set(one.slug, one.title);
  at("campaigns").replaceChildren(...campaigns.map(campaignCard));
  at("groups").hidden = campaigns.length === 0;
}

// What buyers paid is told by its movement alone: the rest is not for everybody.
function movementSaid(item) {
  const where = titles.get(item.campaign) ?? item.campaign;
  if (item.source !== "btcpay") return null;
  if (item.kind === "payment") return `${sats(item.amount_sats)} were paid to ${where} through BTCPay`;
  if (item.kind === "refund") return `${sats(item.amount_sats)} were paid back by ${where}`;
  return `${sats(item.amount_sats)} of ${where} do not count any more`;
}

const SAID = {
  movement: movementSaid,
  "project.announced": (item) => `${named(item)} was announced`,
  "project.committed": (item) => `${named(item)} was committed on the chain, not deep enough yet`,
  "project.confirmed": (item) => `${named(item)} is confirmed`,
  "project.profile": (item) => `${named(item)} was updated on Nostr`,
  "project.rejected": (item) => `${named(item)} was rejected: ${item.reason}`,
  "project.conflict": (item) => `${named(item)}: a later founding names another event`,
  "project.event_missing": (item) => `${item.id} was founded, but no relay has its event`,
  "investment.unconfirmed": (item) => `${sats(item.amount_sats)} are coming to ${title(item)}`,
  "investment.confirmed": (item) => `${sats(item.amount_sats)} were invested in ${title(item)}`,
  "investment.rejected": (item) => `A transaction to ${title(item)} is no investment: ${item.reason}`,
  "investment.dropped": (item) => `An unconfirmed investment in ${title(item)} is gone`,
  "investment.unverified": (item) => `A transaction pays ${title(item)}, whose event is missing`,
  "stage.claim": (item) => `The founder of ${title(item)} claimed a stage`,
  "stage.recovery": (item) => `An investor left ${title(item)}; the coins are in penalty`,
  "stage.unfunded_release": (item) => `The founder of ${title(item)} gave coins back`,
  "stage.penalty_free_recovery": (item) => `An investor left ${title(item)} without penalty`,
  "stage.end_of_project": (item) => `An investor took coins back after the end of ${title(item)}`,
  "stage.unknown": (item) => `Coins of ${title(item)} left by a key path: look closer`,
  "penalty.matured": (item) => `A penalty in ${title(item)} is over`,
  "penalty.released": (item) => `An investor took coins out of penalty in ${title(item)}`,
  reorg: (item) => `The chain was reorganised: ${item.depth} blocks were replaced`,
  tip: (item) => `Block ${whole.format(item.height)}`,
  "source.lost": (item) => `${item.name} is away`,
  "source.degraded": (item) => `${item.name} is degraded`,
  "source.restored": (item) => `${item.name} is back`,
};

function title(item) {
  return names.get(item.project_id) ?? item.project_id;
}

function named(item) {
  return item.name || item.id;
}

function showChange(change) {
  const said = SAID[change.type]?.(change.data);
  if (!said) return;
  const line = made("li");
  const time = made("time", clock.format(new Date(change.at)));
  time.dateTime = change.at;
  line.append(time, made("span", said));
  const feed = at("feed");
  feed.prepend(line);
  while (feed.children.length > MOST_LINES) feed.lastChild.remove();
  at("no-changes").hidden = true;
}

let waiting = null;

function reloadSoon() {
  if (waiting !== null) return;
  waiting = setTimeout(async () => {
    waiting = null;
    await reload();
  }, RELOAD_MS);
}

async function reload() {
  try {
    const [summary] = await Promise.all([load("/api/v1/summary"), showProjects(), showCampaigns()]);
    showSummary(summary);
    return summary.as_of.seq;
  } catch (error) {
    at("notice").hidden = false;
    at("notice").textContent = `The record could not be read: ${error.message}`;
    return 0;
  }
}

at("more").addEventListener("click", () => {
  pages += 1;
  reload();
});

// The feed begins with the last few changes, so that it says something from the start.
const newest = await reload();
follow(`/api/v1/changes/stream?after=${Math.max(0, newest - FIRST_LINES)}`, {
  onState: (state) => {
    if (at("connection").textContent !== state) at("connection").textContent = state;
  },
  onMessage: ({ event, data }) => {
    if (event !== "hello" && event !== "reset") showChange(JSON.parse(data));
    reloadSoon();
  },
});
