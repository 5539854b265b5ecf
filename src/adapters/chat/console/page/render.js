// Messages as elements. Data becomes text nodes and checked attributes, never markup.

import { parse } from "./markdown.js";
import { timeElement } from "./times.js";

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** An enum as JSON has it: `"break"`, or `{ "text": … }`. */
function open(value) {
  return typeof value === "string" ? [value, null] : Object.entries(value)[0];
}

const ELSEWHERE = { target: "_blank", rel: "noopener noreferrer" };
const isWeb = (url) => /^https?:\/\//i.test(url);

const INLINES = {
  text: (text) => text,
  strong: (inner, me) => make("strong", {}, ...inlines(inner, me)),
  emphasis: (inner, me) => make("em", {}, ...inlines(inner, me)),
  code: (text) => make("code", {}, text),
  break: () => make("br"),
  link: ({ url, text }) => (isWeb(url) ? make("a", { href: url, ...ELSEWHERE }, text) : text),
  time: ({ at, text }) => timeElement(at, text),
  mention: ({ id, name }, me) =>
    make("bdi", { class: id === me ? "mention me" : "mention" }, `@${name}`),
  channel: ({ id, name }) => make("a", { href: `#/${encodeURIComponent(id)}` }, `#${name}`),
};

function inlines(list, me) {
  return list.map((inline) => {
    const [kind, data] = open(inline);
    return INLINES[kind]?.(data, me) ?? "";
  });
}

function cell(tag, content, me) {
  const isEmptyHead = tag === "th" && content.length === 0;
  const name = isEmptyHead ? "td" : tag;
  return make(name, { scope: name === "th" ? "col" : null, dir: "auto" }, ...inlines(content, me));
}

function table({ head, rows }, me) {
  const row = (tag) => (cells) => make("tr", {}, ...cells.map((content) => cell(tag, content, me)));
  const top = head.length ? [make("thead", {}, row("th")(head))] : [];
  const whole = make("table", {}, ...top, make("tbody", {}, ...rows.map(row("td"))));
  const wide = { class: "table", tabindex: "0", role: "group", "aria-label": "Table" };
  return make("div", wide, whole);
}

const BLOCKS = {
  heading: (line, me) => make("h3", { dir: "auto" }, ...inlines(line, me)),
  paragraph: (line, me) => make("p", { dir: "auto" }, ...inlines(line, me)),
  list: (items, me) =>
    make("ul", {}, ...items.map((item) => make("li", { dir: "auto" }, ...inlines(item, me)))),
  quote: (line, me) => make("blockquote", { dir: "auto" }, ...inlines(line, me)),
  code: (text) => make("pre", { tabindex: "0" }, make("code", {}, text)),
  table,
};

export function block(value, me) {
  const [kind, data] = open(value);
  return BLOCKS[kind]?.(data, me) ?? "";
}

export const blocks = (body, me) => body.map((value) => block(value, me));

const TONES = { good: "Good: ", warning: "Warning: ", bad: "Problem: " };

/** The colour of the edge, in words for those who do not see it. */
export function toneWord(message) {
  const word = TONES[message.tone];
  return word ? make("span", { class: "unseen" }, word) : "";
}

/** The first sentence, as text. */
export const lead = (message) => (message.body[0] ? plain(message.body[0]) : "");

export const plain = (value) => make("div", {}, block(value)).textContent.trim();

export function mentions(message, person) {
  return JSON.stringify(message.body).includes(`{"mention":{"id":${JSON.stringify(person)}`);
}

/** Rows of buttons. `press` gets the button; `isBusy` tells which were pressed just now. */
export function buttonRows(message, { commandOf, press, isBusy }) {
  if (!message.buttons?.length) return [];
  return message.buttons.map((row) => {
    const buttons = row.map((button) => {
      const command = commandOf(button.command);
      return make("button", {
        type: "button",
        class: `button ${button.style ?? "plain"}`,
        title: command,
        "data-command": button.command,
        "aria-busy": isBusy(button.command) ? "true" : null,
        onclick: () => press(button),
      }, button.label);
    });
    return make("div", { class: "row buttons" }, ...buttons);
  });
}

/** Whole documents: folded, to be read here, or kept. */
export function files(message, me) {
  return (message.files ?? []).map((file) => {
    const inside = make("div", {
      class: "document", role: "group", tabindex: "0", "aria-label": file.name,
    });
    const fold = make("details", {}, make("summary", {}, make("bdi", {}, file.name),
      make("span", { class: "soft" }, size(file.text))), inside);
    fold.addEventListener("toggle", () => {
      if (fold.open && !inside.hasChildNodes()) inside.append(...read(file, me));
    });
    const save = make("button", {
      type: "button", class: "button", "aria-label": `Download ${file.name}`,
      onclick: () => download(file),
    }, "Download");
    return make("div", { class: "file" }, fold, save);
  });
}

const read = ({ media, text }, me) =>
  blocks(media === "text/markdown" ? parse(text) : [{ code: text }], me);

function size(text) {
  const bytes = new Blob([text]).size;
  return bytes < 1000 ? `${bytes} bytes` : `${Math.round(bytes / 1000)} kB`;
}

/** Under a type that no browser opens: what it holds is kept, never run. */
function download({ name, text }) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "title", "rect", "text", "line", "polyline", "polygon", "circle"]);
const SHAPED = new Set([
  "role", "aria-label", "viewBox", "x", "y", "dx", "dy", "x1", "y1", "x2", "y2", "cx", "cy", "r",
  "width", "height", "points", "fill", "stroke", "stroke-width", "opacity", "text-anchor",
  "font-family", "font-size",
]);

/** Drawings: shapes and their places, and nothing else that an SVG could hold. */
export function pictures(message) {
  return (message.pictures ?? []).map(({ svg, alt }) => {
    const drawn = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
    const wide = { class: "picture", tabindex: "0", role: "group", "aria-label": "Picture" };
    return make("div", wide, shape(drawn) ?? alt);
  });
}

function shape(drawn) {
  if (drawn.namespaceURI !== SVG || !SHAPES.has(drawn.localName)) return null;
  const copy = document.createElementNS(SVG, drawn.localName);
  for (const { name, value } of drawn.attributes) {
    if (SHAPED.has(name)) copy.setAttribute(name, value);
  }
  for (const child of drawn.childNodes) {
    const inside = child.nodeType === Node.TEXT_NODE ? child.data.trim() : shape(child);
    if (inside) copy.append(inside);
  }
  return copy;
}
