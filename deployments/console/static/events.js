// The page of events: counts come after the list, an event opens beside it without a new page, and the histogram is
// a brush. Everything works by keyboard, and without this script by links.
"use strict";
(() => {
  const list = document.getElementById("events");
  const aside = document.getElementById("event");
  const counts = document.getElementById("counts");

  // Counts: rows are there first.
  async function loadCounts() {
    if (!counts) return;
    try {
      const answer = await fetch(counts.dataset.load, reads);
      if (!answer.ok) throw new Error(String(answer.status));
      counts.innerHTML = await answer.text();
      localTimes(counts);
      brush(document.getElementById("histogram"));
    } catch {
      counts.textContent = "The counts could not be loaded. The list is complete without them.";
    }
    counts.removeAttribute("aria-busy");
  }

  // One event beside the list.
  async function open(link, remember) {
    const address = new URL(link.href);
    const id = link.dataset.event;
    address.pathname = `/console/events/${id}`;
    address.searchParams.delete("event");
    const answer = await fetch(address, reads);
    if (!answer.ok) { location.href = link.href; return; }
    aside.innerHTML = await answer.text();
    localTimes(aside);
    aside.parentElement.classList.add("open");
    list.querySelector("tr.shown")?.classList.remove("shown");
    link.closest("tr").classList.add("shown");
    if (remember) history.pushState({ event: id }, "", link.href);
  }
  function close(remember) {
    aside.replaceChildren();
    aside.parentElement.classList.remove("open");
    const row = list?.querySelector("tr.shown");
    row?.classList.remove("shown");
    row?.querySelector("[data-event]")?.focus();
    if (remember) history.pushState({}, "", aside.dataset.closed);
  }
  document.addEventListener("click", (e) => {
    if (e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || !aside) return;
    const link = e.target.closest("[data-event]");
    if (link) { e.preventDefault(); open(link, true).catch(() => { location.href = link.href; }); }
    if (e.target.closest("[data-close]")) { e.preventDefault(); close(true); }
  });
  addEventListener("popstate", () => {
    const id = new URLSearchParams(location.search).get("event");
    const link = id && list?.querySelector(`[data-event="${CSS.escape(id)}"]`);
    if (link) open(link, false).catch(() => location.reload());
    else if (aside) close(false);
  });

  // Keys: j and k move, Enter opens (it is a link), Escape closes, / goes to the search.
  function move(step) {
    const links = [...(list?.querySelectorAll("[data-event]") ?? [])];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step;
    if (next >= links.length) document.getElementById("older")?.focus();
    else links[Math.max(next, 0)].focus();
  }
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, select, textarea")) return;
    if (e.key === "j") move(1);
    else if (e.key === "k") move(-1);
    else if (e.key === "/") { e.preventDefault(); document.querySelector('#search [name="q"]').focus(); }
    else if (e.key === "Escape" && aside?.childElementCount) close(true);
  });

  // A drag over the histogram is a range; a click is one bar's time, ten bars wide.
  function brush(svg) {
    if (!svg) return;
    const shade = svg.querySelector(".brush");
    const width = svg.viewBox.baseVal.width;
    let from = null;
    const place = (e) => {
      const box = svg.getBoundingClientRect();
      return Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1);
    };
    const draw = (a, b) => {
      shade.setAttribute("x", String(Math.min(a, b) * width));
      shade.setAttribute("width", String(Math.abs(a - b) * width));
    };
    svg.addEventListener("pointerdown", (e) => { from = place(e); svg.setPointerCapture(e.pointerId); });
    svg.addEventListener("pointermove", (e) => { if (from !== null) draw(from, place(e)); });
    svg.addEventListener("pointercancel", () => { from = null; draw(0, 0); });
    svg.addEventListener("pointerup", (e) => {
      if (from === null) return;
      let [a, b] = [from, place(e)].sort((x, y) => x - y);
      if (b - a < 0.005) [a, b] = [Math.max(a - 0.05, 0), Math.min(b + 0.05, 1)];
      from = null;
      const since = Date.parse(svg.dataset.since), until = Date.parse(svg.dataset.until);
      const address = new URL(location.href);
      for (const name of ["last", "after", "event", "from", "to"]) address.searchParams.delete(name);
      const time = (part) => new Date(since + (until - since) * part).toISOString();
      address.searchParams.set("from", time(a));
      address.searchParams.set("to", time(b));
      location.href = address;
    });
  }

  // Values for the filter that is chosen.
  const value = document.getElementById("value"), add = document.getElementById("add");
  const suggestions = document.getElementById("suggestions");
  let typed = 0;
  async function suggest() {
    const mine = ++typed;
    if (!value.value || !add.value) return;
    const wanted = new URLSearchParams({ member: add.value, q: value.value });
    const answer = await fetch(`/console/events/suggestions?${wanted}`, reads);
    if (!answer.ok || mine !== typed) return;
    suggestions.replaceChildren(...(await answer.json()).map((one) => {
      const option = document.createElement("option");
      option.value = one.value;
      option.label = one.name ? `${one.name} (${one.value})` : one.value;
      return option;
    }));
  }
  let waiting = 0;
  value?.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => suggest().catch(() => {}), 150); });
  document.getElementById("search")?.addEventListener("submit", () => { if (value && !value.value) value.disabled = add.disabled = true; });

  // An export: the browser saves the file, and the bar shows how many events are written.
  const bar = document.getElementById("exported"), words = document.getElementById("exported-text");
  async function watch(id) {
    const total = Number(document.getElementById("histogram")?.dataset.total ?? 0);
    bar.hidden = false;
    if (total) bar.max = total; else bar.removeAttribute("value");
    for (;;) {
      await new Promise((done) => setTimeout(done, 400));
      const answer = await fetch(`/console/events/exports/${id}`, reads);
      if (answer.status === 404) continue;
      if (!answer.ok) break;
      const now = await answer.json();
      if (total) bar.value = Math.min(now.written, total);
      words.textContent = `${now.written.toLocaleString("en")} events ${now.ended ? "written" : "…"}`;
      if (now.error) words.textContent = `The export ended early, and its file is not complete: ${now.error}`;
      if (now.ended) { bar.hidden = true; break; }
    }
  }
  document.querySelectorAll("[data-export]").forEach((link) => link.addEventListener("click", () => {
    const id = crypto.randomUUID ? crypto.randomUUID() : String(Date.now());
    const address = new URL(link.href);
    address.searchParams.set("id", id);
    link.href = address;
    watch(id).catch(() => { bar.hidden = true; });
  }));

  loadCounts();
})();
