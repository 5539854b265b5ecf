// What is asked in a dialog: forms, confirmations, and the token.

import { blocks, make } from "./render.js";

let count = 0;

/**
 * Shows a form until it is sent or put away. `send` gets the answers and gives the next form, or
 * nothing when all is done; when it throws, the form stays with what was filled in.
 */
export function ask(form, send) {
  return new Promise((resolve) => {
    count += 1;
    const dialog = make("dialog", { "aria-labelledby": `dialog-${count}` });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve();
    });
    fill(dialog, form, send, `dialog-${count}`);
    document.body.append(dialog);
    dialog.showModal();
    focusFirst(dialog, form);
  });
}

function fill(dialog, form, send, id) {
  const trouble = make("p", { class: "trouble", role: "alert" });
  const fields = form.fields.map((field, at) => fieldOf(field, `${id}-${at}`));
  const cancel = make("button", {
    type: "button", class: "button", onclick: () => dialog.close(),
  }, "Cancel");
  const style = form.style === "danger" ? "danger" : "primary";
  const submit = make("button", { type: "submit", class: `button ${style}` }, form.submit);
  const body = make("form", { method: "dialog", novalidate: true },
    make("h2", { id }, form.title), ...blocks(form.text), ...fields.map((field) => field.element),
    trouble, make("div", { class: "row end" }, cancel, submit));
  body.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.hasAttribute("aria-busy") || !allFilled(fields)) return;
    submit.setAttribute("aria-busy", "true");
    trouble.textContent = "";
    try {
      const answers = fields.map(({ name, input }) => [name, input.value]);
      const next = await send(Object.fromEntries(answers));
      if (!next) return dialog.close();
      fill(dialog, next, send, id);
      focusFirst(dialog, next);
    } catch (problem) {
      trouble.textContent = problem.message;
      submit.removeAttribute("aria-busy");
    }
  });
  dialog.replaceChildren(body);
}

function fieldOf(field, id) {
  const [kind, options] =
    typeof field.kind === "string" ? [field.kind, []] : Object.entries(field.kind)[0];
  const attributes = {
    id, name: field.name, "aria-describedby": `${id}-hint ${id}-error`,
    "aria-required": field.required ? "true" : null, autocomplete: "off",
    type: field.type ?? { line: "text", date: "date", clock: "time" }[kind] ?? null, rows: kind === "paragraph" ? "4" : null,
  };
  const tag = { paragraph: "textarea", choice: "select" }[kind] ?? "input";
  const input = make(tag, attributes);
  if (kind === "choice") {
    const blank = field.required && field.value ? [] : [["", "Please choose"]];
    const all = [...blank, ...options];
    input.append(...all.map(([value, label]) => make("option", { value }, label)));
  }
  input.value = field.value ?? "";
  const mark = field.required ? "" : make("span", { class: "soft" }, " (optional)");
  const error = make("p", { id: `${id}-error`, class: "error" }, field.problem ?? "");
  if (field.problem) input.setAttribute("aria-invalid", "true");
  const element = make("div", { class: "field" }, make("label", { for: id }, field.label, mark),
    make("p", { id: `${id}-hint`, class: "hint" }, field.hint ?? ""), input, error);
  return { name: field.name, label: field.label, required: field.required, input, error, element };
}

function allFilled(fields) {
  let first = null;
  for (const { label, required, input, error } of fields) {
    const isMissing = required && !input.value.trim();
    error.textContent = isMissing ? `Please fill in “${label}”.` : "";
    if (isMissing) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
    first ??= isMissing ? input : null;
  }
  first?.focus();
  return first === null;
}

/** A dangerous confirmation begins on the way out. */
function focusFirst(dialog, form) {
  const target = form.fields.length ? "input, textarea, select"
    : form.style === "danger" ? "button[type=button]" : "button[type=submit]";
  dialog.querySelector(target)?.focus();
}

export function askToken(send) {
  const field = {
    name: "token", label: "Access token", required: true, kind: "line", type: "password", value: "",
    hint: "It says who you are. This browser keeps it until you sign out.",
  };
  const text = [{ paragraph: [{ text: "The operator of this console gives you one." }] }];
  const form = { title: "Who are you?", text, fields: [field], submit: "Enter", style: "primary" };
  return ask(form, send);
}
