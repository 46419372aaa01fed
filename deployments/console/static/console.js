// The console's own script. Every page works without it; with it pages update themselves, hints show on focus, times
// have their local form, and dangerous buttons ask first.
"use strict";

const reads = { headers: { "X-Requested-With": "console" }, credentials: "same-origin" };

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!isNaN(at)) time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC\n${at.toLocaleString()} here`;
  }
}

// Hints: what hovers over or focuses an element with data-hint reads it; Escape closes it.
const tip = document.createElement("div");
tip.className = "tip";
tip.id = "tip";
tip.role = "tooltip";
tip.hidden = true;
function showTip(of) {
  tip.textContent = of.dataset.hint;
  tip.hidden = false;
  of.setAttribute("aria-describedby", "tip");
  const box = of.getBoundingClientRect();
  const left = Math.min(box.left + scrollX, scrollX + document.documentElement.clientWidth - tip.offsetWidth - 8);
  // CSSOM writes are allowed by the policy; style attributes in the page are not.
  tip.style.left = `${Math.max(left, 8)}px`;
  tip.style.top = `${box.bottom + scrollY + 6}px`;
}
function hideTip() {
  tip.hidden = true;
  document.querySelectorAll('[aria-describedby="tip"]').forEach((one) => one.removeAttribute("aria-describedby"));
}
for (const [event, act] of [["mouseover", showTip], ["focusin", showTip], ["mouseout", hideTip], ["focusout", hideTip]]) {
  document.addEventListener(event, (e) => {
    const of = e.target.closest?.("[data-hint]");
    if (of) act(of);
  });
}
document.addEventListener("keydown", (e) => { if (e.key === "Escape") hideTip(); });

// Parts with data-live are requested again every data-every seconds and replaced where they differ, unless the reader
// is in them: the focus, an open part and a selection stay.
function isInUse(part) {
  const selection = getSelection();
  return part.contains(document.activeElement) || part.matches(":hover [data-hint]") ||
    (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
}
async function refresh(part) {
  if (document.hidden || isInUse(part)) return;
  const answer = await fetch(location.href, reads);
  if (answer.status === 401) { location.reload(); return; }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(part.id);
  if (!fresh || isInUse(part)) return;
  for (const open of part.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  for (const strip of part.querySelectorAll("[data-strip]")) {
    const next = fresh.querySelector(`#${CSS.escape(strip.id)}`);
    if (next) next.replaceChildren(...strip.cloneNode(true).childNodes);
  }
  if (fresh.innerHTML !== part.innerHTML) part.innerHTML = fresh.innerHTML;
  part.dataset.every = fresh.dataset.every;
  ready(part);
}
function keepFresh(part) {
  const seconds = Number(part.dataset.every);
  if (seconds > 0) setTimeout(() => refresh(part).catch(() => {}).finally(() => keepFresh(part)), seconds * 1000);
}

// Coverage strips come after the rows: they cost more than all the rest.
async function loadStrips(root) {
  const empty = [...root.querySelectorAll("[data-strip]:empty")];
  for (let at = 0; at < empty.length; at += 25) {
    const ids = empty.slice(at, at + 25).map((one) => one.dataset.strip);
    const answer = await fetch(`/console/strips?ids=${ids.join(",")}`, reads);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ids) {
      const found = page.getElementById(`strip-${id}`);
      document.getElementById(`strip-${id}`)?.replaceChildren(...(found ? found.childNodes : []));
    }
  }
}

document.addEventListener("submit", (e) => {
  const form = e.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) { e.preventDefault(); return; }
  const button = e.submitter;
  setTimeout(() => { button?.setAttribute("aria-busy", "true"); button?.classList.add("busy"); }, 200);
});
// A page that takes longer than a moment shows it where the reader clicked.
document.addEventListener("click", (e) => {
  const link = e.target.closest?.("header nav a, .chips a");
  if (!link || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey) return;
  setTimeout(() => {
    if (e.defaultPrevented) return;
    link.setAttribute("aria-busy", "true");
    link.classList.add("busy");
  }, 200);
});
addEventListener("pageshow", () => {
  document.querySelectorAll(".busy").forEach((one) => { one.classList.remove("busy"); one.removeAttribute("aria-busy"); });
});
document.addEventListener("change", (e) => { if (e.target.form?.hasAttribute("data-auto")) e.target.form.requestSubmit(); });

function ready(root) {
  localTimes(root);
  loadStrips(root).catch(() => {});
}

// Prefect's UI keeps a sign that this browser has logged in; the console's cookie is what counts.
const PREFECT = "prefect-password", SIGN = btoa("console-session");
if (document.body.dataset.role === "operator") localStorage.setItem(PREFECT, SIGN);
if (document.body.dataset.next) location.replace(document.body.dataset.next);

document.body.append(tip);
// The reader may be on a hint already: the page is there before this script.
const current = document.querySelector("[data-hint]:focus, [data-hint]:hover");
if (current) showTip(current);
document.querySelectorAll("[data-live]").forEach(keepFresh);
ready(document);
