// DOM helpers. All text is set through textContent, never as markup.

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function svgElement(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

const MAX_CHARACTERS = 300;

// Shorten a user's text to fit a line of a dialog.
export function shorten(text, maxCharacters = MAX_CHARACTERS) {
  const full = String(text ?? "");
  return full.length > maxCharacters ? `${full.slice(0, maxCharacters)}…` : full;
}

export function capitalize(text) {
  return text[0].toUpperCase() + text.slice(1);
}

const numbers = new Intl.NumberFormat("en");

export function formatNumber(value) {
  return numbers.format(value);
}

export function formatCount(value, singular, plural = `${singular}s`) {
  return `${formatNumber(value)} ${value === 1 ? singular : plural}`;
}

export function formatSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? formatCount(bytes, "byte") : `${value.toFixed(1)} ${units[unit]}`;
}

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];

export function formatDuration(seconds) {
  for (const [length, name] of UNITS) {
    if (seconds >= length) return formatCount(Math.round(seconds / length), name);
  }
  return formatCount(Math.max(1, Math.round(seconds)), "second");
}

export function formatDistance(moment) {
  const seconds = (new Date(moment).getTime() - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return "just now";
  return seconds > 0 ? `in ${formatDuration(seconds)}` : `${formatDuration(-seconds)} ago`;
}

const HIDDEN = /\\|[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}|^[ -]| $|(?<= ) /gu;

// Print an id with all characters visible. Invisible ones are escaped in the form that pages and commands accept.
export function printedId(id) {
  return id.replace(HIDDEN, (character) => {
    if (character === "\\") return "\\\\";
    const code = character.codePointAt(0);
    const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${letter}${code.toString(16).padStart(digits, "0")}`;
  });
}
