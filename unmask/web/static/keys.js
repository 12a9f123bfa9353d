// Keys that work anywhere on the page, except where somebody types.

/** `does` maps keys, with "ctrl+" and "shift+" before them, to what they do; those of `held` hear of both ends. */
export function keys(does, held) {
  const named = (event) => {
    const key = event.key.toLowerCase(), letter = key !== event.key.toUpperCase();
    return `${event.ctrlKey || event.metaKey ? "ctrl+" : ""}${event.shiftKey && letter ? "shift+" : ""}${key}`;
  };
  const typing = (event) => event.altKey || document.querySelector("dialog[open]")
    || event.target.closest?.("input:not([type=range], [type=radio], [type=checkbox]), textarea, select");
  document.addEventListener("keydown", (event) => {
    if (typing(event)) return;
    const key = named(event);
    if (held[key] && !event.ctrlKey && !event.metaKey) {
      if (!event.repeat) held[key](true, event);
    } else if (does[key]) {
      event.preventDefault();
      does[key]();
    }
  });
  document.addEventListener("keyup", (event) => held[named(event)]?.(false, event));
  window.addEventListener("blur", () => Object.values(held).forEach((one) => one(false)));
}

/** A button that does something as long as it is held, by pointer or by key. */
export function whileHeld(button, does) {
  const ends = { pointerdown: true, pointerup: false, pointercancel: false, pointerleave: false, blur: false };
  for (const [name, on] of Object.entries(ends)) button.addEventListener(name, () => does(on));
  for (const name of ["keydown", "keyup"]) button.addEventListener(name, (event) => {
    if (event.key === " " || event.key === "Enter") does(name === "keydown");
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a long touch
}
