// The demo's clock. Where nobody serves one, this is no demo, and there is nothing to see.

import { ask as askServer, complain, newId, send } from "./server.js";
import { ask as askPerson } from "./dialogs.js";
import { make } from "./render.js";
import { dayAndTime, distance, hourAndMinute, toDate } from "./times.js";

/** Left out where there is little room. */
const wide = (text) => make("span", { class: "wide" }, text);

export class Clock {
  /** `tip` takes what could be done next, or nothing. */
  constructor({ area, now, own, jump, startOver, tip, trouble, after }) {
    Object.assign(this, { area, now, own, jump, startOver, tip, trouble, after });
    jump.addEventListener("click", () => this.press(jump, "/demo/jump"));
    startOver.addEventListener("click", () => this.confirm());
    setInterval(() => { this.tick(); this.refresh(); }, 5000);
  }

  /** Soon, and once for many reasons. */
  refresh() {
    if (this.isAbsent) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 150);
  }

  async load() {
    try {
      const state = await askServer("/demo/clock");
      this.state = state;
      this.offset = toDate(state.now) - Date.now();
      this.draw();
    } catch (problem) {
      // Only a plain "there is none" is final; a lost connection is not.
      this.isAbsent = problem.status === 404;
      if (this.isAbsent) this.area.hidden = true;
    }
  }

  draw() {
    const { next, jumpable, hint } = this.state;
    this.area.hidden = false;
    this.jump.hidden = !jumpable;
    this.startOver.hidden = !jumpable;
    this.drawJump(next);
    this.tip(hint ?? "");
    this.tick();
  }

  /** Cut where there is no room for it; the whole of it is its name, and what hovering shows. */
  drawJump(next) {
    const label = next ? `Jump to the next deadline: ${next.text}` : "Nothing to jump to";
    const when = next ? ` (${dayAndTime(toDate(next.at), this.state.zone)})` : "";
    const short = next?.about && label.endsWith(next.about) ? next.about : next?.text ?? label;
    this.jump.replaceChildren(make("span", {}, wide(label.slice(0, -short.length)), short));
    this.jump.setAttribute("aria-label", label);
    this.jump.title = label + when;
    this.jump.toggleAttribute("disabled", !next);
  }

  tick() {
    if (!this.state || this.area.hidden) return;
    const date = new Date(Date.now() + this.offset);
    const there = dayAndTime(date, this.state.zone);
    const isElsewhere = hourAndMinute(date, this.state.zone) !== hourAndMinute(date);
    this.own.textContent = isElsewhere ? ` In your zone: ${dayAndTime(date)}.` : "";
    const ahead = this.offset > 90_000 ? ` (jumped ahead ${distance(this.offset)})` : "";
    this.now.replaceChildren(wide("Demo clock · "), there, wide(ahead));
    this.now.title = `Demo clock${ahead}`;
  }

  async press(button, path) {
    if (button.hasAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    this.trouble.textContent = "";
    try {
      await send(path, { id: newId() });
      this.refresh();
    } catch (problem) {
      complain(this.trouble, problem);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  confirm() {
    const text = [{
      paragraph: [{ text: "All channels, messages and decisions of this demo are put away, and it "
        + "begins anew at the present time. This cannot be undone." }],
    }];
    const title = "Start the demo over?";
    const form = { title, text, fields: [], submit: "Start over", style: "danger" };
    return askPerson(form, async () => {
      await send("/demo/start-over", { id: newId() });
      this.after();
      return null;
    });
  }
}
