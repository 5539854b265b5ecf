// Talks to the server: questions, deeds that happen once however often they are sent, and events.

export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }

  /** It may not have arrived; the same deed may be sent again. */
  get isLost() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }
}

/** Says what went wrong, until something else does, or until the connection is back if it was that. */
export function complain(place, problem, more = "") {
  place.textContent = problem.message + more;
  place.toggleAttribute("data-unreached", problem.status === 0);
}

export function reached(place) {
  if (place.hasAttribute("data-unreached")) place.textContent = "";
}

/** A name for one deed. Outside of secure contexts browsers have no randomUUID. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function ask(path, params = {}) {
  const query = new URLSearchParams(params).toString();
  const headers = { accept: "application/json" };
  return answer(fetch(query ? `${path}?${query}` : path, { headers }));
}

export async function send(path, body = {}) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  return answer(fetch(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

const PAUSES = [300, 1000, 2500];

/** Sends a deed until somebody answers. Its id stays the same, so that it is done once. */
export async function act(path, body) {
  for (const pause of PAUSES) {
    try {
      return await send(path, body);
    } catch (problem) {
      if (!problem.isLost) throw problem;
      await new Promise((resume) => setTimeout(resume, pause));
    }
  }
  return send(path, body);
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Problem(0, "The console cannot be reached.");
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    if (response.ok) return null;
  }
  if (response.ok) return body;
  throw new Problem(response.status, body?.error ?? `The console answered ${response.status}.`);
}

const KINDS = ["posted", "edited", "pinned", "room", "topic", "archived"];

/** The server's events, without gaps or doubles, through lost connections. */
export class Feed {
  constructor(handlers) {
    this.handlers = handlers;
  }

  open(person, journal, seq) {
    this.close();
    Object.assign(this, { person, journal, seq, wait: 500 });
    this.connect();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
  }

  connect() {
    this.source?.close();
    const query = new URLSearchParams({ as: this.person, after: `${this.journal}-${this.seq}` });
    const source = new EventSource(`/console/events?${query}`);
    this.source = source;
    source.onopen = () => {
      this.wait = 500;
      this.handlers.connected(true);
    };
    // A refused connection is not tried again by the browser, so we always do it ourselves.
    source.onerror = () => {
      source.close();
      this.handlers.connected(false);
      this.timer = setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(this.wait * 2, 8000);
    };
    source.addEventListener("reset", () => this.handlers.reset());
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => this.take(kind, JSON.parse(event.data)));
    }
  }

  take(kind, data) {
    if (data.seq <= this.seq) return;
    this.seq = data.seq;
    this.handlers.change(kind, data);
  }
}
