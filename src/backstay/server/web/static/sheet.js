// The styles inside elements. Custom properties of the host page override these defaults.

const RULES = `
:host {
  --_surface: var(--backstay-surface, light-dark(#fffdf8, #1b2124));
  --_raised: var(--backstay-raised, light-dark(#ffffff, #232a2d));
  --_ink: var(--backstay-ink, light-dark(#1d2326, #ece9e0));
  --_muted: var(--backstay-muted, light-dark(#566066, #a4adaf));
  --_line: var(--backstay-line, light-dark(#dcd7ca, #343d41));
  --_control: var(--backstay-control, light-dark(#858a86, #7a868a));
  --_accent: var(--backstay-accent, light-dark(#0d5c63, #7cc7c6));
  --_on-accent: var(--backstay-on-accent, light-dark(#ffffff, #0d2224));
  --_accent-soft: var(--backstay-accent-soft, light-dark(#e0ecea, #1f3536));
  --_danger: var(--backstay-danger, light-dark(#a3262a, #f4a19a));
  --_on-danger: var(--backstay-on-danger, light-dark(#ffffff, #360a0b));
  --_danger-soft: var(--backstay-danger-soft, light-dark(#f8e4e1, #3b2423));
  --_good: var(--backstay-good, light-dark(#1f6a3d, #93d3a5));
  --_good-soft: var(--backstay-good-soft, light-dark(#e0efe2, #1f3325));
  --_warn: var(--backstay-warn, light-dark(#7a4b00, #e9c27a));
  --_radius: var(--backstay-radius, 10px);
  --_font: var(--backstay-font, system-ui, sans-serif);
  --_serif: var(--backstay-serif, Georgia, serif);
  display: block;
  color: var(--_ink);
  font: 16px/1.55 var(--_font);
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; border-radius: 4px; }
[hidden] { display: none !important; }
h2, h3 { font-family: var(--_serif); font-weight: 600; line-height: 1.25; margin: 0 0 0.6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.45rem; }
h3 { font-size: 1.05rem; }
p { margin: 0 0 0.8rem; overflow-wrap: anywhere; }
ul { margin: 0 0 1rem; padding: 0; list-style: none; }
code { font-size: 0.88em; overflow-wrap: anywhere; }
a { color: var(--_accent); text-underline-offset: 0.18em; }
.muted { color: var(--_muted); font-size: 0.92rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.6rem; align-items: center; }
dialog {
  color: var(--_ink); background: var(--_surface); border: 1px solid var(--_line); border-radius: calc(var(--_radius) * 1.4);
  width: min(40rem, calc(100vw - 1.5rem)); max-height: calc(100dvh - 1.5rem); padding: clamp(1.1rem, 4vw, 1.9rem);
  box-shadow: 0 24px 70px rgb(0 0 0 / 35%); overflow: auto;
}
dialog::backdrop { background: rgb(10 16 18 / 55%); }
button, a.button {
  font: 600 0.95rem/1.2 var(--_font); display: inline-flex; align-items: center; justify-content: center; min-height: 2.6rem;
  padding: 0.5rem 1rem; border-radius: 8px; border: 1px solid var(--_control); background: var(--_raised); color: var(--_ink);
  text-decoration: none; cursor: pointer;
}
button:hover, a.button:hover { border-color: var(--_accent); color: var(--_accent); }
button.primary, a.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
button.primary:hover, a.primary:hover { color: var(--_on-accent); filter: brightness(1.12); }
button.danger { color: var(--_danger); border-color: var(--_danger); }
button.danger:hover:not([disabled]) { background: var(--_danger); color: var(--_on-danger); }
button.quiet { border-color: transparent; background: none; color: var(--_muted); text-decoration: underline; }
button[disabled] { opacity: 0.55; cursor: not-allowed; }
button.small { min-height: 2.1rem; padding: 0.25rem 0.7rem; font-size: 0.88rem; }
label { display: flex; gap: 0.55rem; align-items: center; min-height: 2rem; }
input[type="checkbox"] { width: 1.25rem; height: 1.25rem; accent-color: var(--_accent); margin: 0; flex: none; }
input:is([type="text"], [type="number"]) { font: inherit; color: inherit; width: 100%; min-height: 2.6rem; padding: 0.4rem 0.7rem; border: 1px solid var(--_control); border-radius: 8px; background: var(--_raised); }
.problem { padding: 0.7rem 1rem; border-radius: 8px; background: var(--_danger-soft); border-left: 4px solid var(--_danger); }
.lost { color: var(--_warn); }
.good { padding: 0.7rem 1rem; border-radius: 8px; background: var(--_good-soft); border-left: 4px solid var(--_good); }
progress { appearance: none; -webkit-appearance: none; width: 100%; height: 0.6rem; border: 0; border-radius: 99px; background: var(--_line); overflow: hidden; display: block; }
progress::-webkit-progress-bar { background: var(--_line); }
progress::-webkit-progress-value { background: var(--_accent); border-radius: 99px; }
progress::-moz-progress-bar { background: var(--_accent); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: 0.8rem 1.2rem; margin: 0 0 1rem; }
.figures div { min-width: 0; }
dt { font-size: 0.84rem; color: var(--_muted); }
dd { margin: 0; }
.figures dd { font: 600 1.35rem/1.3 var(--_serif); font-variant-numeric: tabular-nums; }
.skeleton { height: 1.1rem; border-radius: 6px; background: var(--_line); margin-bottom: 0.7rem; }
.skeleton.short { width: 45%; }
@media (prefers-reduced-motion: no-preference) {
  .skeleton { animation: breathe 1.4s ease-in-out infinite alternate; }
  @keyframes breathe { from { opacity: 0.45; } }
  dialog[open] { animation: appear 140ms ease-out; }
  @keyframes appear { from { opacity: 0; translate: 0 0.5rem; } }
}
`;

const shared = new CSSStyleSheet();
shared.replaceSync(RULES);

// The style sheets of an element: the shared one, then its own rules.
export function sheets(own = "") {
  const more = new CSSStyleSheet();
  more.replaceSync(own);
  return [shared, more];
}
