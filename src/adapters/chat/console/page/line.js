// The command line: completion, history, and sending a line exactly once.

import { ask, complain, newId } from "./server.js";
import { make } from "./render.js";

const KEPT = 50;

export class Line {
  /** `send(line, id)` resolves when the line has arrived, and throws when it has not. */
  constructor({ form, input, offers, button, trouble }, { context, send }) {
    Object.assign(this, { form, input, offers, button, trouble, context, send });
    this.items = [];
    this.active = -1;
    this.round = 0;
    this.back = -1;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    input.addEventListener("input", () => {
      this.back = -1;
      this.lookUp();
    });
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.close());
  }

  async submit() {
    const line = this.input.value.trim();
    this.close();
    if (!line || this.button.hasAttribute("aria-busy")) return;
    // The same line sent again after a failure is the same deed.
    if (this.unsent?.line !== line) this.unsent = { line, id: newId() };
    this.button.setAttribute("aria-busy", "true");
    this.trouble.textContent = "";
    try {
      await this.send(line, this.unsent.id);
      this.unsent = null;
      this.remember(line);
      if (this.input.value.trim() === line) this.input.value = "";
    } catch (problem) {
      const again = problem.isLost ? " Your line is kept: press Enter to send it again." : "";
      complain(this.trouble, problem, again);
      if (!problem.isLost) this.unsent = null;
    } finally {
      this.button.removeAttribute("aria-busy");
    }
  }

  key(event) {
    if (event.isComposing) return;
    const isOpen = !this.offers.hidden;
    const deed = isOpen ? this.keyInList(event) : this.keyInHistory(event);
    if (deed) {
      event.preventDefault();
      deed();
    }
  }

  keyInList(event) {
    const count = this.items.length;
    switch (event.key) {
      case "ArrowDown": return () => this.mark((this.active + 1) % count);
      case "ArrowUp": return () => this.mark((this.active <= 0 ? count : this.active) - 1);
      case "Tab": return event.shiftKey ? null : () => this.choose(Math.max(this.active, 0));
      case "Enter": return this.active < 0 ? null : () => this.choose(this.active);
      case "Escape": return () => this.close();
      default: return null;
    }
  }

  keyInHistory(event) {
    const lines = this.history();
    const mayMove = this.back >= 0 || this.input.value === "";
    if (event.key === "ArrowUp" && mayMove && lines.length) {
      return () => this.recall(lines, Math.min(this.back + 1, lines.length - 1));
    }
    if (event.key === "ArrowDown" && this.back >= 0) {
      return () => this.recall(lines, this.back - 1);
    }
    if (event.key === "ArrowDown" && this.input.value) return () => this.lookUp();
    return null;
  }

  recall(lines, back) {
    this.back = back;
    this.input.value = back < 0 ? "" : lines[back];
    this.input.setSelectionRange(this.input.value.length, this.input.value.length);
  }

  get store() {
    return `console/lines/${this.context().as}`;
  }

  history() {
    try {
      return JSON.parse(sessionStorage.getItem(this.store)) ?? [];
    } catch {
      return [];
    }
  }

  remember(line) {
    const lines = [line, ...this.history().filter((known) => known !== line)].slice(0, KEPT);
    try {
      sessionStorage.setItem(this.store, JSON.stringify(lines));
    } catch {
      // Without room for it, history is a comfort that we can miss.
    }
    this.back = -1;
  }

  lookUp() {
    this.round += 1;
    const round = this.round;
    const line = this.input.value;
    if (!line.trimStart().startsWith("/")) return this.close();
    setTimeout(async () => {
      if (round !== this.round) return;
      const found = await ask("/console/complete", { ...this.context(), line }).catch(() => []);
      if (round === this.round && document.activeElement === this.input) this.open(found);
    }, 40);
  }

  open(items) {
    this.items = items.filter((item) => item.text.trim() !== this.input.value.trim()
      || item.text.length > this.input.value.length);
    if (!this.items.length) return this.close();
    this.offers.replaceChildren(...this.items.map((item, at) => make("li", {
      id: `offer-${at}`, role: "option", "aria-selected": "false",
      // The pointer must not take the focus from the line.
      onpointerdown: (event) => event.preventDefault(),
      onclick: () => this.choose(at),
    }, make("code", {}, item.text), make("span", {}, item.about))));
    this.offers.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark(-1);
  }

  close() {
    this.round += 1;
    this.offers.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.mark(-1);
  }

  mark(at) {
    this.active = at;
    [...this.offers.children].forEach((offer, index) => {
      offer.setAttribute("aria-selected", String(index === at));
      if (index === at) offer.scrollIntoView({ block: "nearest" });
    });
    if (at < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `offer-${at}`);
  }

  choose(at) {
    const { text } = this.items[at];
    this.input.value = text.endsWith(" ") ? text : `${text} `;
    this.close();
    this.input.focus();
    this.lookUp();
  }
}
