// Making elements: whatever is shown goes through textContent, never through markup.

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function drawing(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

const LONGEST = 300;

// Text of a user's, short enough for a line of a dialog.
export function clipped(text, longest = LONGEST) {
  const given = String(text ?? "");
  return given.length > longest ? `${given.slice(0, longest)}…` : given;
}

const numbers = new Intl.NumberFormat("en");

export function number(value) {
  return numbers.format(value);
}

export function counted(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? counted(bytes, "byte") : `${value.toFixed(1)} ${units[unit]}`;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];

export function span(seconds) {
  for (const [length, name] of UNITS) {
    if (seconds >= length) return counted(Math.round(seconds / length), name);
  }
  return counted(Math.max(1, Math.round(seconds)), "second");
}

export function distance(moment) {
  const seconds = (new Date(moment).getTime() - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  return seconds > 0 ? `in ${span(seconds)}` : `${span(-seconds)} ago`;
}

const HIDDEN = /\\|[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}|^[ -]| $|(?<= ) /gu;

// An id with every character to be seen: those that cannot be are escaped, as the pages and commands read them again.
export function printedId(id) {
  return id.replace(HIDDEN, (one) => {
    if (one === "\\") return "\\\\";
    const code = one.codePointAt(0);
    const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
  });
}
