// The console: what is known, what is shown, and what people do with it.

import { Clock } from "./clock.js";
import { ask as askPerson, askToken } from "./dialogs.js";
import { Line } from "./line.js";
import { lead, make, mentions } from "./render.js";
import { act, ask, complain, Feed, newId, reached, send } from "./server.js";
import { Stream } from "./stream.js";

const $ = (id) => document.getElementById(id);

/** What the server told us, as one person sees it. */
let home = null;
let here = null;
const busy = new Set();
/** Clicks that may not have arrived, and their ids: the next one there is the same deed. */
const lost = new Map();
/** So many messages of a channel are kept at hand. */
const MOST = 1000;
/** A click shows for so long at least: the second half of a double click is not a second deed. */
const CLICK = 700;

// --- What this browser keeps -----------------------------------------------------------------

function keep(store, name, value) {
  try {
    store.setItem(`console/${name}`, JSON.stringify(value));
    return true;
  } catch {
    // A browser without storage still shows everything; it only forgets.
    return false;
  }
}

function kept(store, name) {
  try {
    return JSON.parse(store.getItem(`console/${name}`));
  } catch {
    return null;
  }
}

const own = (what) => `${what}/${home.journal}/${home.as}`;

const notesOf = (channel) => home.notes.filter((note) => note.channel === channel);

function keepNotes() {
  home.notes = home.notes.slice(-60);
  // Documents are long: where there is no room for all, the last ones are kept.
  for (let most = 60; most >= 1; most /= 2) {
    if (keep(sessionStorage, own("notes"), home.notes.slice(-most))) return;
  }
}

/** Whoever comes for the first time has read the channels, but not what was written to them. */
function readMarks() {
  const marks = kept(localStorage, own("read"));
  if (marks) return marks;
  const fresh = home.channels.map(({ id, kind }) => [id, kind === "direct" ? 0 : home.seq]);
  return Object.fromEntries(fresh);
}

function markRead(channel) {
  if (document.hidden || channel.id !== here) return;
  const last = channel.messages.at(-1)?.seq ?? 0;
  if (last <= (home.marks[channel.id] ?? 0)) return;
  home.marks[channel.id] = last;
  keep(localStorage, own("read"), home.marks);
}

function unread(channel) {
  const since = home.marks[channel.id] ?? 0;
  return channel.messages.filter((item) => item.seq > since && item.by.id !== home.as);
}

const channelOf = (id) => home.channels.find((channel) => channel.id === id);
const title = (channel) => (channel.kind === "direct" ? `${home.bot} and you` : `#${channel.name}`);
const commandOf = (command) =>
  (command.startsWith("/") ? command : `${home.slash} ${command}`);

// --- The parts of the page -------------------------------------------------------------------

const stream = new Stream({
  scroll: $("scroll"), list: $("messages"), pins: $("pins"), earlier: $("earlier"),
  empty: $("empty"), newest: $("newest"),
}, { me: () => home.as, commandOf, press, dismiss, isBusy: (...what) => busy.has(what.join(" ")) });

const line = new Line({
  form: $("say"), input: $("line"), offers: $("offers"), button: $("send"), trouble: $("trouble"),
}, {
  context: () => ({ as: home.as, channel: here }),
  send: async (text, id) => {
    const channel = here;
    const person = home.as;
    const reply = await act("/console/say", { id, as: person, channel, line: text });
    take(person, channel, text, reply);
  },
});

const clock = new Clock({
  area: $("clock"), now: $("clock-now"), own: $("clock-own"),
  jump: $("jump"), startOver: $("start-over"),
  tip: showTip, trouble: $("trouble"), after: () => load(home.as),
});

const feed = new Feed({
  change,
  reset: () => load(home.as),
  connected: (isUp) => {
    clearTimeout(feed.grace);
    if (isUp) {
      reached($("trouble"));
      return showBanner("");
    }
    feed.grace = setTimeout(lostConnection, 800);
  },
});

/** An event stream does not say why it was refused: a question does. */
async function lostConnection() {
  showBanner("Connection lost. Trying again; what you type is kept.");
  try {
    await ask("/console/complete", { as: home.as });
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) load(home.as);
  }
}

function showBanner(text) {
  const banner = $("banner");
  if (!text && !banner.hidden) announce("Connected again.");
  banner.textContent = text;
  banner.hidden = !text;
}

/** Changing text in a live region is read aloud; many at once are read as one. */
const waiting = [];
function announce(text) {
  waiting.push(text);
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => {
    $("live").textContent = waiting.splice(0).slice(-4).join(" ");
  }, 200);
}

/** What could be done next, until it is put away: then the next thing is told, and this is not. */
function showTip(hint) {
  $("tip").hidden = !hint || kept(localStorage, "tip") === hint;
  if ($("tip").dataset.hint === hint) return;
  $("tip").dataset.hint = hint;
  $("tip-text").replaceChildren(make("strong", {}, "Tip: "), hint);
}

$("tip-off").addEventListener("click", () => {
  keep(localStorage, "tip", $("tip").dataset.hint);
  showTip($("tip").dataset.hint);
  $("line").focus();
});

/** Where a keyboard covers the page instead of making it smaller, we make it smaller ourselves. */
function fitAboveKeyboard() {
  const { height, scale } = window.visualViewport;
  if (scale > 1.01) return;
  document.documentElement.style.setProperty("--height", `${height}px`);
  window.scrollTo(0, 0);
}
window.visualViewport?.addEventListener("resize", fitAboveKeyboard);

// --- Loading ---------------------------------------------------------------------------------

let loads = 0;

async function load(person) {
  loads += 1;
  const round = loads;
  let fresh;
  try {
    fresh = await ask("/console/state", { as: person ?? "" });
  } catch (problem) {
    if (round === loads) recover(problem, person);
    return;
  }
  // Who switches quickly wants the last one, whichever answer comes first.
  if (round !== loads) return;
  home = fresh;
  home.notes = kept(sessionStorage, own("notes")) ?? [];
  home.marks = readMarks();
  if (home.switcher) keep(sessionStorage, "as", home.as);
  $("bot").textContent = `${home.bot} console`;
  drawPeople();
  feed.open(home.as, home.journal, home.seq);
  openChannel(fromAddress() ?? here);
  clock.refresh();
}

async function recover(problem, person) {
  if (problem.status === 401) {
    await askToken(async ({ token }) => {
      await send("/console/enter", { token });
      return null;
    });
    return load("");
  }
  if (problem.status === 403 && person) return load("");
  showBanner(`${problem.message} Trying again.`);
  setTimeout(() => load(person), 2000);
}

function drawPeople() {
  const label = ({ name, about }) => (about ? `${name} · ${about}` : name);
  const select = $("person");
  const options = home.people.map((who) => make("option", { value: who.id }, label(who)));
  select.replaceChildren(...options);
  select.value = home.as;
  select.hidden = !home.switcher;
  $("self").hidden = home.switcher;
  $("leave").hidden = home.switcher;
  $("self").textContent = label(home.people.find((who) => who.id === home.as));
}

$("person").addEventListener("change", (event) => load(event.target.value));
$("leave").addEventListener("click", async () => {
  await send("/console/leave");
  location.reload();
});

// --- Where we are ----------------------------------------------------------------------------

function fromAddress() {
  if (!location.hash.startsWith("#/")) return null;
  try {
    return decodeURIComponent(location.hash.slice(2));
  } catch {
    return null;
  }
}

function openChannel(wanted) {
  const channel = channelOf(wanted) ?? home.channels[0];
  const since = home.marks[channel.id] ?? 0;
  here = channel.id;
  stream.show(channel, notesOf(here), since);
  drawHead(channel);
  markRead(channel);
  drawPlaces();
  showMenu(false);
  if (channel.archived && channel.messages.length === 0 && channel.earlier) showEarlier();
}

/** "with Maria, Quinn and 3 more" */
function people({ members }) {
  if (!members.length) return "";
  const names = members.map((id) => home.people.find((who) => who.id === id)?.name ?? id);
  const more = names.length > 4 ? ` and ${names.length - 3} more` : "";
  return `with ${(more ? names.slice(0, 3) : names).join(", ")}${more}`;
}

function drawHead(channel) {
  $("here").replaceChildren(make("bdi", {}, title(channel)));
  const about = [channel.archived && "Archived", channel.topic || channel.purpose, people(channel)];
  $("topic").textContent = about.filter(Boolean).join(" · ");
  $("topic").title = $("topic").textContent;
  $("scroll").setAttribute("aria-label", `Messages in ${title(channel)}`);
  const where = channel.kind === "direct" ? "Write" : `Message ${title(channel)}`;
  $("line").placeholder = channel.archived ? "This channel is archived"
    : `${where}, or type ${home.slash} …`;
}

const GROUPS = [
  ["Channels", (channel) => channel.kind === "channel" && !channel.archived],
  ["Rooms", (channel) => channel.kind === "room" && !channel.archived],
  ["Direct messages", (channel) => channel.kind === "direct"],
];

function drawPlaces() {
  const places = $("places");
  const active = places.contains(document.activeElement) ? document.activeElement : null;
  const isOpen = places.querySelector("details")?.open ?? false;
  const groups = GROUPS.map(([name, belongs]) => group(name, home.channels.filter(belongs)));
  const archived = home.channels.filter((channel) => channel.archived && channel.kind !== "direct");
  if (archived.length) groups.push(foldedGroup(archived, isOpen));
  places.replaceChildren(...groups.filter(Boolean));
  const same = ({ tagName, hash }) => active?.tagName === tagName && active.hash === hash;
  if (active) [...places.querySelectorAll("a, summary")].find(same)?.focus();
  drawUnread();
}

function group(name, channels) {
  if (!channels.length) return null;
  const id = `group-${name.replace(/\W/g, "")}`;
  return make("div", { class: "group" }, make("p", { id }, name),
    make("ul", { "aria-labelledby": id }, ...channels.map(place)));
}

function foldedGroup(channels, isOpen) {
  const isHere = channels.some((channel) => channel.id === here);
  return make("details", { class: "group", open: isOpen || isHere },
    make("summary", {}, `Archived (${channels.length})`),
    make("ul", { "aria-label": "Archived" }, ...channels.map(place)));
}

/** "customers, 2 unread" to a screen reader. */
const count = (news) => [make("span", { class: "unseen" }, ", "), String(news),
  make("span", { class: "unseen" }, " unread")];

function place(channel) {
  const news = unread(channel);
  const isCalled = channel.kind === "direct"
    || news.some((item) => mentions(item.message, home.as));
  const mark = channel.kind === "direct" ? "@" : "#";
  const style = isCalled ? "unread me" : "unread";
  const badge = news.length === 0 ? "" : make("span", { class: style }, ...count(news.length));
  return make("li", {}, make("a", {
    href: `#/${encodeURIComponent(channel.id)}`,
    class: news.length ? "has-news" : null,
    "aria-current": channel.id === here ? "page" : null,
  }, make("span", { class: "mark", "aria-hidden": "true" }, mark),
  make("bdi", {}, channel.kind === "direct" ? home.bot : channel.name), badge));
}

function drawUnread() {
  const all = home.channels.reduce((sum, channel) => sum + unread(channel).length, 0);
  document.title = `${all ? `(${all}) ` : ""}${title(channelOf(here))} · ${home.bot}`;
  $("menu-unread").hidden = all === 0;
  $("menu-unread").replaceChildren(...count(all));
}

function showMenu(isOpen) {
  document.body.classList.toggle("menu-open", isOpen);
  $("menu").setAttribute("aria-expanded", String(isOpen));
}

$("menu").addEventListener("click", () => {
  const isOpen = !document.body.classList.contains("menu-open");
  showMenu(isOpen);
  if (isOpen) $("places").querySelector("a[aria-current], a")?.focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.body.classList.contains("menu-open")) {
    showMenu(false);
    $("menu").focus();
  }
});
addEventListener("hashchange", () => {
  const wanted = fromAddress();
  if (home && wanted) openChannel(wanted);
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !home) return;
  markRead(channelOf(here));
  drawPlaces();
  clock.refresh();
});

// --- What happens ----------------------------------------------------------------------------

const CHANGES = {
  posted(channel, { message }) {
    channel.messages.push(message);
    // A page that stays open for weeks does not grow: the server has the rest.
    if (channel.messages.length > MOST) {
      channel.messages.splice(0, MOST / 2);
      channel.earlier = true;
    }
    const isHere = channel.id === here;
    if (isHere) stream.add(message);
    const where = isHere ? "" : `In ${title(channel)}: `;
    if (message.by.id === home.as) home.marks[channel.id] = message.seq;
    else announce(`${where}${message.by.name}: ${lead(message.message)}`);
    markRead(channel);
  },
  edited(channel, { message }) {
    swap(channel.messages, message);
    swap(channel.pins, message);
    if (channel.id === here) stream.replace(message, true);
  },
  pinned(channel, { message }) {
    channel.pins.push(message);
    if (channel.id === here) stream.replace(message, false);
  },
  room(channel, { room }) {
    Object.assign(channel, room);
    if (channel.id === here) drawHead(channel);
  },
  topic(channel, { topic }) {
    channel.topic = topic;
    if (channel.id === here) drawHead(channel);
  },
  archived(channel) {
    channel.archived = true;
    if (channel.id === here) drawHead(channel);
  },
};

function swap(list, message) {
  const at = list.findIndex((item) => item.id === message.id);
  if (at >= 0) list[at] = message;
}

function change(kind, data) {
  let channel = channelOf(data.channel);
  if (!channel && kind === "room") {
    channel = { ...data.room, messages: [], pins: [], earlier: false };
    home.channels.push(channel);
    announce(`New room: ${title(channel)}.`);
  }
  home.seq = data.seq;
  if (channel) CHANGES[kind](channel, data);
  drawPlaces();
  clock.refresh();
}

async function showEarlier() {
  const channel = channelOf(here);
  if (!stream.cut && channel.earlier) {
    const before = channel.messages[0]?.seq ?? Number.MAX_SAFE_INTEGER;
    try {
      const page = await ask("/console/earlier", { as: home.as, channel: channel.id, before });
      channel.messages.unshift(...page.messages);
      channel.earlier = page.earlier;
    } catch (problem) {
      complain($("trouble"), problem);
      return;
    }
  }
  if (channel.id === here) stream.grow(notesOf(here));
}
$("earlier").addEventListener("click", showEarlier);

// --- What people do --------------------------------------------------------------------------

/** Takes an answer: a private message stays in the stream, a form opens. */
function take(person, channel, echo, reply) {
  // What was decided may have moved the next deadline without a word in any channel.
  clock.refresh();
  // Whoever was switched to in the meantime must not see another's answer.
  if (person !== home.as) return;
  if (reply.private) addNote(channel, echo, reply.private);
  if (reply.form) askForm(channel, reply.form);
  // What was done may change what comes next without a word in any channel.
  clock.refresh();
}

function addNote(channel, echo, message) {
  const note = {
    note: true, id: `note-${newId()}`, channel, echo, message,
    seq: home.seq, at: Date.now() + (clock.offset ?? 0),
  };
  home.notes.push(note);
  keepNotes();
  if (channel === here) stream.add(note);
  announce(`Only you can see this: ${lead(message)}`);
}

function dismiss(note) {
  home.notes = home.notes.filter((known) => known.id !== note.id);
  keepNotes();
  stream.redraw(notesOf(here));
  $("line").focus();
}

async function askForm(channel, first) {
  const person = home.as;
  let form = first;
  let deed = null;
  await askPerson(form, async (fields) => {
    // Sending the same answers again after a failure is the same deed.
    const answers = JSON.stringify([form.command, fields]);
    if (deed?.answers !== answers) deed = { answers, id: newId() };
    const body = { id: deed.id, as: person, channel, command: form.command, fields };
    const reply = await act("/console/submit", body);
    deed = null;
    if (reply.form) {
      form = reply.form;
      return form;
    }
    take(person, channel, commandOf(form.command), reply);
    return null;
  });
  if (document.activeElement === document.body) $("line").focus();
}

async function press(channel, message, button) {
  const what = `${message} ${button.command}`;
  if (busy.has(what)) return;
  busy.add(what);
  stream.showBusy(message, button.command, true);
  $("trouble").textContent = "";
  const shown = new Promise((resume) => setTimeout(resume, CLICK));
  const person = home.as;
  const id = lost.get(`${person} ${what}`) ?? newId();
  lost.delete(`${person} ${what}`);
  try {
    const body = { id, as: person, channel, command: button.command, message };
    take(person, channel, commandOf(button.command), await act("/console/press", body));
  } catch (problem) {
    if (problem.isLost) lost.set(`${person} ${what}`, id);
    const again = problem.isLost ? " Press the button again to try again." : "";
    complain($("trouble"), problem, again);
  }
  await shown;
  busy.delete(what);
  stream.showBusy(message, button.command, false);
}

load(kept(sessionStorage, "as"));
