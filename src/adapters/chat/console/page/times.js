// Instants as people read them.

/** Accepts what JSON may carry: ISO text, seconds or milliseconds since 1970. */
export function toDate(value) {
  if (typeof value === "string") return new Date(value);
  return new Date(Math.abs(value) < 1e11 ? value * 1000 : value);
}

function format(date, options, zone) {
  try {
    return new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }).format(date);
  } catch {
    return new Intl.DateTimeFormat("en-GB", options).format(date);
  }
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const DAY = { weekday: "short", day: "numeric", month: "short" };

/** The abbreviation that people of that place use: British English knows few American ones. */
function zoneName(date, zone) {
  try {
    const options = { timeZone: zone, timeZoneName: "short" };
    const parts = new Intl.DateTimeFormat("en-US", options).formatToParts(date);
    return parts.find((part) => part.type === "timeZoneName").value;
  } catch {
    return "";
  }
}

export const hourAndMinute = (date, zone) => format(date, CLOCK, zone);

export const fullDay = (date) =>
  format(date, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

export function dayAndTime(date, zone) {
  const words = `${format(date, DAY, zone).replace(",", "")} ${hourAndMinute(date, zone)}`;
  return `${words} ${zoneName(date, zone)}`.trim();
}

export const sameDay = (a, b) => a.toDateString() === b.toDateString();

/** "3 d", "5 h", "12 min": one unit is enough to feel a distance. */
export function distance(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1440)} d`;
}

/** The text, and the reader's own time beside it where the text shows another hour. */
export function timeElement(at, text) {
  const date = toDate(at);
  const time = document.createElement("time");
  time.textContent = text;
  if (Number.isNaN(date.getTime())) return time;
  time.dateTime = date.toISOString();
  time.title = `Your time: ${dayAndTime(date)}`;
  const hours = text.match(/\b\d{1,2}:\d{2}\b/g);
  if (!hours || hours.some((hour) => hour.padStart(5, "0") === hourAndMinute(date))) return time;
  const own = document.createElement("span");
  own.className = "own-time";
  own.textContent = ` (your time ${format(date, { weekday: "short" })} ${hourAndMinute(date)})`;
  const both = document.createDocumentFragment();
  both.append(time, own);
  return both;
}
