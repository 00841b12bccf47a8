import { follow } from "/assets/stream.js";

const MAX_LINES = 200;
const INITIAL_LINES = 60;
const RELOAD_MS = 300; // changes come in bursts, after a block above all: they are one reload

const byId = (id) => document.getElementById(id);
const numberFormat = new Intl.NumberFormat("en");
const timeFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const counted = (number, noun) => `${numberFormat.format(number)} ${noun}${number === 1 ? "" : "s"}`;
const sats = (amount) => counted(amount, "sat");

function newElement(tag, text, className) {
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

function noticeOf({ stale, complete }) {
  const texts = [];
  if (!complete) texts.push("Not everything has been read yet: these totals will still grow.");
  if (stale) texts.push("These numbers may be behind: the daemon or a source is away.");
  return texts.join(" ");
}

function showSummary(summary) {
  const { totals, angor, btcpay, as_of: asOf, projects } = summary;
  byId("network").textContent = summary.network;
  const tip = asOf.height === null ? "no block yet" : `block ${numberFormat.format(asOf.height)}`;
  byId("as-of").textContent = `as of ${tip} · relays ${asOf.sources.relays} · chain ${asOf.sources.chain}${asOf.sources.btcpay === "off" ? "" : ` · BTCPay ${asOf.sources.btcpay}`}`;
  const notice = byId("notice");
  notice.textContent = noticeOf(asOf);
  notice.hidden = notice.textContent === "";
  const committed = projects.confirmed + projects.committed + projects.event_missing;
  byId("counts").textContent = `${numberFormat.format(committed)} on the chain, ${numberFormat.format(projects.announced)} announced, ${numberFormat.format(projects.rejected)} rejected`;
  const figures = [
    ["Raised", sats(totals.raised_sats), `${counted(totals.contributions, "contribution")} of ${counted(totals.contributors, "contributor")}`, "first"],
    ["Returned", sats(totals.returned_sats), `${sats(angor.in_penalty_sats)} in penalty`],
    ["Net", sats(totals.net_sats), "raised less returned"],
    ["Locked", sats(angor.locked_sats), "not spent yet"],
    ["Claimed", sats(angor.claimed_sats), "by founders"],
    ["Unconfirmed", sats(totals.unconfirmed_sats), "not counted"],
    ["Last 24 hours", sats(summary.last_24h.raised_sats), counted(summary.last_24h.contributions, "contribution")],
    ["Median", sats(totals.median_contribution_sats), `mean ${sats(totals.average_contribution_sats)}`],
  ];
  if (btcpay.invoices > 0) {
    figures.splice(1, 0,
      ["On the chain", sats(angor.raised_sats), `${counted(angor.investments, "investment")} in Angor projects`],
      ["Through BTCPay", sats(btcpay.raised_sats), `${counted(btcpay.invoices, "invoice")}, ${sats(btcpay.pending_sats)} pending`]);
  }
  if (angor.unknown_sats > 0) figures.push(["Unknown", sats(angor.unknown_sats), "left by a key path: look closer"]);
  byId("totals").replaceChildren(...figures.map(([name, value, note, className]) => {
    const group = newElement("div", null, className);
    const figure = newElement("dd", value.replace(/ sats$/, ""));
    if (value.endsWith(" sats")) figure.append(newElement("span", " sats", "unit"));
    figure.append(newElement("small", note));
    group.append(newElement("dt", name), figure);
    return group;
  }));
}

function targetProgress({ percent, target_sats: target }) {
  if (!target) return [];
  const bar = newElement("progress");
  bar.max = 100;
  bar.value = Math.min(100, percent);
  bar.setAttribute("aria-label", `${percent} percent of the target`);
  return [newElement("p", `${percent} % of ${sats(target)}`), bar];
}

function campaignCard(campaign) {
  const card = newElement("li");
  card.append(newElement("h3", campaign.title), newElement("p", sats(campaign.totals.raised_sats), "sum"), ...targetProgress(campaign));
  const parts = [];
  if (campaign.projects.length > 0) parts.push(`${sats(campaign.angor.raised_sats)} on the chain`);
  if (campaign.stores.length > 0) parts.push(`${sats(campaign.btcpay.raised_sats)} through BTCPay`);
  const contributions = campaign.totals.contributions;
  card.append(newElement("p", parts.join(", ")), newElement("p", counted(contributions, "contribution")));
  return card;
}

function projectCard(project) {
  const card = newElement("li");
  card.append(newElement("h3", project.name || "Project without a name"));
  const labels = newElement("p");
  for (const label of [project.status.replace("_", " "), project.type, ...project.flags]) {
    if (label) labels.append(newElement("span", label, "mark"));
  }
  card.append(labels, newElement("p", sats(project.totals.raised_sats), "sum"));
  card.append(...targetProgress(project));
  const investors = counted(project.investors, "investor");
  const returned = project.totals.returned_sats ? `, ${sats(project.totals.returned_sats)} returned` : "";
  card.append(newElement("p", investors + returned));
  if (project.end_at) card.append(newElement("p", `ends ${dateFormat.format(new Date(project.end_at))}`));
  card.append(newElement("p", project.id, "id"));
  return card;
}

// Names of projects by identifier: many changes hold the identifier alone.
const projectNames = new Map();
let pages = 1;

async function showProjects() {
  const cards = [];
  let cursor = null;
  for (let page = 0; page < pages; page += 1) {
    const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const list = await load(`/api/v1/projects?limit=50${from}`);
    for (const project of list.items) projectNames.set(project.id, nameOf(project));
    cards.push(...list.items.map(projectCard));
    cursor = list.next_cursor;
    if (!cursor) break;
  }
  byId("projects").replaceChildren(...cards);
  byId("no-projects").hidden = cards.length > 0;
  byId("more").hidden = cursor === null;
}

const campaignTitles = new Map();

// A project that is no part of a campaign is a campaign by itself, and shown as a project only.
async function showCampaigns() {
  const list = await load("/api/v1/campaigns?limit=100");
  const campaigns = list.items.filter((campaign) => !campaign.slug.startsWith("angor1"));
  for (const campaign of campaigns) campaignTitles.set(campaign.slug, campaign.title);
  byId("campaigns").replaceChildren(...campaigns.map(campaignCard));
  byId("groups").hidden = campaigns.length === 0;
}

// Of invoices, only movements are shown: all else is for keys with the scope invoices:read.
function movementSentence(item) {
  const where = campaignTitles.get(item.campaign) ?? item.campaign;
  if (item.source !== "btcpay") return null;
  if (item.kind === "payment") return `${where} was paid ${sats(item.amount_sats)} through BTCPay`;
  if (item.kind === "refund") return `${where} paid ${sats(item.amount_sats)} back`;
  return `A payment of ${sats(item.amount_sats)} to ${where} does not count any more`;
}

const SENTENCES = {
  movement: movementSentence,
  "project.announced": (item) => `${nameOf(item)} was announced`,
  "project.committed": (item) => `${nameOf(item)} was committed on the chain, not deep enough yet`,
  "project.confirmed": (item) => `${nameOf(item)} is confirmed`,
  "project.profile": (item) => `${nameOf(item)} was updated on Nostr`,
  "project.rejected": (item) => `${nameOf(item)} was rejected: ${item.reason}`,
  "project.conflict": (item) => `${nameOf(item)}: a later founding names another event`,
  "project.event_missing": (item) => `${item.id} was founded, but no relay has its event`,
  "investment.unconfirmed": (item) => `An investment of ${sats(item.amount_sats)} in ${projectName(item)} is on its way`,
  "investment.confirmed": (item) => `An investment of ${sats(item.amount_sats)} in ${projectName(item)} is confirmed`,
  "investment.rejected": (item) => `A transaction to ${projectName(item)} is no investment: ${item.reason}`,
  "investment.dropped": (item) => `An unconfirmed investment in ${projectName(item)} is gone`,
  "investment.unverified": (item) => `A transaction pays ${projectName(item)}, whose event is missing`,
  "stage.claim": (item) => `The founder of ${projectName(item)} claimed a stage`,
  "stage.recovery": (item) => `An investor left ${projectName(item)}; the coins are in penalty`,
  "stage.unfunded_release": (item) => `The founder of ${projectName(item)} gave coins back`,
  "stage.penalty_free_recovery": (item) => `An investor left ${projectName(item)} without penalty`,
  "stage.end_of_project": (item) => `An investor took coins back after the end of ${projectName(item)}`,
  "stage.unknown": (item) => `Coins of ${projectName(item)} left by a key path: look closer`,
  "penalty.matured": (item) => `A penalty in ${projectName(item)} is over`,
  "penalty.released": (item) => `An investor took coins out of penalty in ${projectName(item)}`,
  reorg: (item) => `The chain was reorganised: ${counted(item.depth, "block")} ${item.depth === 1 ? "was" : "were"} replaced`,
  tip: (item) => `Block ${numberFormat.format(item.height)}`,
  "source.lost": (item) => `${item.name} is away`,
  "source.degraded": (item) => `${item.name} is degraded`,
  "source.restored": (item) => `${item.name} is back`,
  "record.complete": () => "Everything has been read: the totals are complete",
  "record.incomplete": () => "Something is still to be read: the totals will still grow",
};

function projectName(item) {
  return projectNames.get(item.project_id) ?? item.project_id;
}

function nameOf(item) {
  return item.name || item.id;
}

function showChange(change) {
  const sentence = SENTENCES[change.type]?.(change.data);
  if (!sentence) return;
  const line = newElement("li");
  const time = newElement("time", timeFormat.format(new Date(change.at)));
  time.dateTime = change.at;
  line.append(time, newElement("span", sentence));
  const feed = byId("feed");
  feed.prepend(line);
  while (feed.children.length > MAX_LINES) feed.lastChild.remove();
  byId("no-changes").hidden = true;
}

let reloadTimer = null;

function reloadSoon() {
  if (reloadTimer !== null) return;
  reloadTimer = setTimeout(async () => {
    reloadTimer = null;
    await reload();
  }, RELOAD_MS);
}

async function reload() {
  try {
    const [summary] = await Promise.all([load("/api/v1/summary"), showProjects(), showCampaigns()]);
    showSummary(summary);
    return summary.as_of.seq;
  } catch (error) {
    byId("notice").hidden = false;
    byId("notice").textContent = `The record could not be read: ${error.message}`;
    return 0;
  }
}

byId("more").addEventListener("click", () => {
  pages += 1;
  reload();
});

// The feed begins with the last changes, so that it is not empty until the next one.
const newest = await reload();
follow(`/api/v1/changes/stream?after=${Math.max(0, newest - INITIAL_LINES)}`, {
  onState: (state) => {
    if (byId("connection").textContent !== state) byId("connection").textContent = state;
  },
  onMessage: ({ event, data }) => {
    if (event !== "hello" && event !== "reset") showChange(JSON.parse(data));
    reloadSoon();
  },
});
