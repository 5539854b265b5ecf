// The messages of one channel: appended, replaced in place, never drawn twice.

import {
  blocks, block, buttonRows, files, lead, make, pictures, toneWord,
} from "./render.js";
import { dayAndTime, fullDay, hourAndMinute, sameDay, toDate } from "./times.js";

/** So many are drawn at once. */
const MOST = 300;
/** A longer line of somebody's is begun only. */
const LONG = 1500;
const NARROW = matchMedia("(max-width: 720px)");
const TOGETHER = 5 * 60 * 1000;

export class Stream {
  constructor(parts, actions) {
    Object.assign(this, parts);
    this.actions = actions;
    this.scroll.addEventListener("scroll", () => this.noteScroll(), { passive: true });
    this.newest.addEventListener("click", () => this.toEnd());
    this.folded = new Map();
    NARROW.addEventListener("change", () => this.channel && this.drawPins());
    // Cards and fonts may change height after they were drawn.
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.list);
    new ResizeObserver(() => this.atEnd && this.toEnd()).observe(this.scroll);
  }

  /** Draws a channel from the start. `unreadAfter` is where the reader stopped. */
  show(channel, notes, unreadAfter) {
    this.channel = channel;
    this.unreadAfter = unreadAfter;
    this.most = MOST;
    this.redraw(notes);
    this.toEnd();
  }

  redraw(notes) {
    this.notes = notes;
    const all = [...this.channel.messages, ...notes].sort((a, b) => a.seq - b.seq);
    const shown = all.slice(-this.most);
    this.cut = all.length > shown.length;
    this.list.replaceChildren();
    this.last = null;
    this.divided = false;
    for (const item of shown) this.append(item);
    this.drawPins();
    this.drawFrame();
  }

  drawFrame() {
    this.earlier.hidden = !(this.cut || this.channel.earlier);
    this.empty.hidden = this.list.childElementCount > 0;
    this.empty.textContent = this.channel.kind === "direct"
      ? "Nothing yet. What is meant only for you appears here."
      : "Nothing has been said here yet.";
  }

  add(item) {
    const follow = this.atEnd;
    this.append(item);
    if (follow) this.trim();
    this.drawFrame();
    if (follow || item.note || item.by?.id === this.actions.me()) this.toEnd();
    else this.newest.hidden = false;
  }

  trim() {
    while (this.list.childElementCount > this.most) {
      this.list.firstElementChild.remove();
      this.cut = true;
    }
  }

  append(item) {
    const date = toDate(item.at);
    if (!this.last || !sameDay(toDate(this.last.at), date)) {
      this.list.append(make("li", { class: "day" }, make("span", {}, fullDay(date))));
      this.last = null;
    }
    if (!this.divided && !item.note && item.seq > this.unreadAfter) {
      this.divided = true;
      const isOwn = item.by.id === this.actions.me();
      if (this.list.querySelector(".message") && !isOwn) {
        this.list.append(make("li", { class: "day new" }, make("span", {}, "New")));
        this.last = null;
      }
    }
    this.list.append(item.note ? this.note(item) : this.message(item, this.follows(item)));
    this.last = item;
  }

  follows(item) {
    const last = this.last;
    return Boolean(last && !last.note && last.by.name === item.by.name
      && last.by.bot === item.by.bot && toDate(item.at) - toDate(last.at) < TOGETHER);
  }

  /** Draws one message again where it stands. */
  replace(item, isNews) {
    const old = this.list.querySelector(`[data-message="${item.id}"]`);
    if (old) {
      const fresh = this.message(item, old.classList.contains("follows"));
      keepFocus(old, fresh);
      old.replaceWith(fresh);
      if (isNews) flash(fresh);
    }
    if (this.isPinned(item)) this.drawPins(isNews ? item.id : null);
  }

  message(item, follows) {
    const date = toDate(item.at);
    const name = make("bdi", { class: "author" }, item.by.name);
    const time = make("time", { datetime: date.toISOString(), title: dayAndTime(date) },
      hourAndMinute(date));
    const head = make("header", {}, name, item.by.bot ? make("span", { class: "app" }, "app") : "",
      time, item.edited ? make("span", { class: "edited" }, "edited") : "");
    const avatar = make("span", { class: `avatar ${hue(item.by)}`, "aria-hidden": "true" },
      item.by.bot ? "t−" : initials(item.by.name));
    return make("li", { class: follows ? "message follows" : "message", "data-message": item.id },
      avatar, make("article", { class: "content" }, head, this.content(item)));
  }

  content(item) {
    if (this.isPinned(item)) {
      return make("p", { class: "moved" }, "Pinned: ",
        make("span", {}, lead(item.message)));
    }
    const kind = item.by.bot ? `card tone-${item.message.tone}` : "said";
    const content = make("div", { class: kind }, toneWord(item.message), ...this.parts(item));
    return item.by.bot || lengthOf(content) < LONG ? content : this.foldable(item, content);
  }

  parts({ id, message }) {
    const me = this.actions.me();
    return [
      ...blocks(message.body, me), ...pictures(message), ...files(message, me),
      ...this.buttons({ id, message }),
    ];
  }

  /** What somebody pasted at length is begun, and unfolds. */
  foldable(item, content) {
    const draw = (isLong) => {
      content.classList.toggle("folded", isLong);
      more.textContent = isLong ? "Show all of it" : "Show less";
      more.setAttribute("aria-expanded", String(!isLong));
    };
    const more = make("button", {
      type: "button", class: "button quiet",
      onclick: () => draw(!content.classList.contains("folded")),
    });
    draw(true);
    return make("div", {}, content, more);
  }

  buttons(item) {
    return buttonRows(item.message, {
      commandOf: this.actions.commandOf,
      isBusy: (command) => this.actions.isBusy(item.id, command),
      press: (button) => this.actions.press(this.channel.id, item.id, button),
    });
  }

  note(item) {
    const date = toDate(item.at);
    const echo = item.echo
      ? make("p", { class: "echo" }, "You: ", make("code", {}, item.echo)) : "";
    const dismiss = make("button", {
      type: "button", class: "button quiet", onclick: () => this.actions.dismiss(item),
    }, "Dismiss");
    const head = make("header", {}, make("span", { class: "only" }, "Only you can see this"),
      make("time", { datetime: date.toISOString() }, hourAndMinute(date)), dismiss);
    return make("li", { class: "message private", "data-message": item.id },
      make("span", { class: "avatar hue-bot", "aria-hidden": "true" }, "t−"),
      make("article", { class: "content" }, head, echo,
        make("div", { class: `card tone-${item.message.tone}` }, toneWord(item.message),
          ...this.parts(item))));
  }

  isPinned(item) {
    return this.channel.pins.some((pin) => pin.id === item.id);
  }

  drawPins(changed = null) {
    const fresh = this.channel.pins.map((pin, at) => this.pin(pin, at));
    const box = make("div", {}, ...fresh);
    keepFocus(this.pins, box);
    this.pins.replaceChildren(make("h2", { class: "unseen" }, "Pinned messages"), ...fresh);
    this.pins.hidden = fresh.length === 0;
    const news = changed && this.pins.querySelector(`[data-pin="${changed}"]`);
    if (news) flash(news);
    refocus(this.pins);
  }

  /** The first pin lies open where there is room for it, until the reader decides otherwise. */
  pin(item, at) {
    const isFolded = this.folded.get(item.id) ?? (at > 0 || NARROW.matches);
    const [first, ...rest] = item.message.body;
    const id = `pin-${item.id}`;
    const whole = { id: item.id, message: { ...item.message, body: rest } };
    const more = make("div", { id, class: "more" }, ...this.parts(whole));
    more.hidden = isFolded;
    const toggle = make("button", {
      type: "button", class: "button quiet fold", "data-command": "fold", "aria-controls": id,
      "aria-expanded": String(!isFolded),
      "aria-label": `${isFolded ? "Show" : "Fold"} the pinned message`,
      onclick: () => {
        this.folded.set(item.id, !isFolded);
        this.drawPins();
      },
    }, make("span", { class: "wide" }, isFolded ? "Show" : "Fold"),
    make("span", { class: "narrow", "aria-hidden": "true" }, isFolded ? "▾" : "▴"));
    const top = make("div", { class: "lead" }, make("span", { class: "badge" }, "Pinned"),
      make("div", {}, toneWord(item.message), block(first, this.actions.me())), toggle);
    const fold = isFolded ? "folded" : "";
    return make("article", { class: `pin ${fold} tone-${item.message.tone}`, "data-pin": item.id },
      top, more);
  }

  get atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    return this.stuck ?? scrollHeight - scrollTop - clientHeight < 60;
  }

  noteScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    this.stuck = scrollHeight - scrollTop - clientHeight < 60;
    if (this.stuck) this.newest.hidden = true;
  }

  toEnd() {
    this.stuck = true;
    this.newest.hidden = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  /** Keeps the reader's place while older messages appear above it. */
  grow(notes) {
    const fromEnd = this.scroll.scrollHeight - this.scroll.scrollTop;
    this.most += MOST;
    this.stuck = false;
    this.redraw(notes);
    this.scroll.scrollTop = this.scroll.scrollHeight - fromEnd;
  }

  showBusy(message, command, busy) {
    const places = document.querySelectorAll(
      `[data-message="${message}"], [data-pin="${message}"]`);
    for (const place of places) {
      for (const button of place.querySelectorAll("[data-command]")) {
        if (button.dataset.command !== command) continue;
        if (busy) button.setAttribute("aria-busy", "true");
        else button.removeAttribute("aria-busy");
      }
    }
  }
}

/** Whoever stands on a button stays on it when its message is drawn again. */
function keepFocus(old, fresh) {
  const active = document.activeElement;
  if (!old.contains(active) || !active.dataset.command) return;
  const pin = active.closest("[data-pin]")?.dataset.pin;
  const scope = pin ? fresh.querySelector(`[data-pin="${pin}"]`) : fresh;
  const same = [...(scope ?? fresh).querySelectorAll("[data-command]")]
    .find((button) => button.dataset.command === active.dataset.command);
  if (same) {
    same.dataset.refocus = "";
    queueMicrotask(() => refocus(document));
  }
}

function refocus(root) {
  const wanted = root.querySelector("[data-refocus]");
  if (!wanted) return;
  delete wanted.dataset.refocus;
  wanted.focus({ preventScroll: true });
}

function flash(element) {
  element.classList.add("changed");
  setTimeout(() => element.classList.remove("changed"), 1700);
}

const lengthOf = (content) => content.textContent.length + 60 * content.querySelectorAll("br").length;

const initials = (name) =>
  name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();

function hue(by) {
  if (by.bot) return "hue-bot";
  const sum = [...by.name].reduce((total, letter) => total + letter.codePointAt(0), 0);
  return `hue-${sum % 6}`;
}
