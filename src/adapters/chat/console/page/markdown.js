// A Markdown document as the blocks of a message: the forms that our documents have, and no more.
// What it does not know stays text, and nothing in it can become markup.

const ITEM = /^(\s*)(?:[-*+]|(\d+[.)]))\s+(.*)$/;
const FENCE = /^\s*(`{3,}|~{3,})/;
const RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-*:?\s*)*$/;
const ESCAPED = /\\([!-/:-@[-`{-~])/g;
const SPANS = new RegExp([
  /\\([!-/:-@[-`{-~])/, /(`+)(.+?)\2(?!`)/, /\*\*((?:\\.|[^\\])+?)\*\*/,
  /\[((?:\\.|[^\]\\])*)\]\((https?:[^)\s]+)\)/, /<(https?:[^>\s]+)>/,
].map((part) => part.source).join("|"), "g");

export function parse(text) {
  const lines = text.split("\n");
  const blocks = [];
  while (lines.length) {
    const found = block(lines);
    if (found) blocks.push(found);
  }
  return blocks;
}

/** Takes the lines of one block. */
function block(lines) {
  const line = lines.shift();
  if (!line.trim()) return null;
  const heading = line.match(/^#{1,6}\s+(.*)$/);
  if (heading) return { heading: inlines(heading[1]) };
  if (FENCE.test(line)) return code(line, lines);
  if (line.includes("|") && RULE.test(lines[0] ?? "") && lines[0].includes("|")) {
    return table(line, lines);
  }
  if (ITEM.test(line)) return list(line, lines);
  const rest = [line, ...takeWhile(lines, (next) => next.trim() && !begins(next))];
  if (line.startsWith(">")) return { quote: inlines(rest.map((it) => it.replace(/^>\s?/, ""))) };
  return { paragraph: inlines(rest) };
}

const begins = (line) => /^#{1,6}\s/.test(line) || FENCE.test(line) || ITEM.test(line);

function takeWhile(lines, fits) {
  const end = lines.findIndex((line) => !fits(line));
  return lines.splice(0, end < 0 ? lines.length : end);
}

function code(first, lines) {
  const fence = first.match(FENCE)[1];
  const inside = takeWhile(lines, (line) => !line.trim().startsWith(fence));
  lines.shift();
  return { code: inside.join("\n") };
}

function table(first, lines) {
  lines.shift();
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/)
    .map((cell) => inlines(cell.replaceAll("\\|", "|").trim()));
  const rows = takeWhile(lines, (line) => line.includes("|")).map(cells);
  const head = cells(first);
  return { table: { head: head.some((cell) => cell.length) ? head : [], rows } };
}

/** Nested items are shown flat, with a dash. */
function list(first, lines) {
  const all = [first, ...takeWhile(lines, (line) => ITEM.test(line) || /^\s+\S/.test(line))];
  const items = [];
  for (const line of all) {
    const [, indent, number, text] = line.match(ITEM) ?? [];
    if (text === undefined) items.at(-1).push("break", ...inlines(line.trim()));
    else items.push(inlines(`${indent ? "– " : ""}${number ? `${number} ` : ""}${text}`));
  }
  return { list: items };
}

/** A new line is a break. */
function inlines(lines) {
  const [first, ...more] = [lines].flat();
  return [...spans(first), ...more.flatMap((line) => ["break", ...spans(line)])];
}

function spans(line) {
  const found = [];
  let end = 0;
  const text = (words) => words && found.push({ text: words });
  for (const match of line.matchAll(SPANS)) {
    const [all, escaped, , span, strong, label, url, bare] = match;
    text(line.slice(end, match.index));
    end = match.index + all.length;
    if (escaped) text(escaped);
    else if (span) found.push({ code: span.trim() });
    else if (strong) found.push({ strong: spans(strong) });
    else found.push({ link: { url: url ?? bare, text: label?.replace(ESCAPED, "$1") || url || bare } });
  }
  text(line.slice(end).replace(/\s+$/, ""));
  return found;
}
