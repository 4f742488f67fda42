// What moves on a page: parts that are asked for again and again, and logs that grow. Everything works without it.
"use strict";

(() => {
  const SLOWEST_MS = 30000;

  // A part with data-live is replaced by what that address has, every data-every seconds. The service escapes all of it.
  function follow(part) {
    const every = Number(part.dataset.every || "2") * 1000;
    let tag = "";
    let wait = every;

    async function again() {
      try {
        const answer = await fetch(part.dataset.live, { headers: { "X-Farm-Live": "1", ...(tag && { "If-None-Match": tag }) }, cache: "no-store" });
        if (answer.status === 401 || answer.headers.get("X-Farm-Over") === "1") {
          location.reload();
          return;
        }
        if (answer.ok) {
          tag = answer.headers.get("ETag") || "";
          show(part, await answer.text());
        }
        wait = answer.ok || answer.status === 304 ? every : Math.min(wait * 2, SLOWEST_MS);
        part.classList.remove("stale");
      } catch {
        wait = Math.min(wait * 2, SLOWEST_MS);
        part.classList.add("stale");
      }
      setTimeout(again, document.hidden ? SLOWEST_MS : wait);
    }
    setTimeout(again, every);
  }

  // Whoever has walked to a link in the part by keyboard stays on it.
  function show(part, text) {
    const held = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.innerHTML = text;
    if (held) {
      const same = [...part.querySelectorAll("a")].find((link) => link.getAttribute("href") === held);
      if (same) same.focus();
    }
  }

  // A log with data-log grows by what the file has beyond data-from, as text and never as markup.
  function tail(log) {
    let from = Number(log.dataset.from);

    async function again() {
      let wait = 2000;
      try {
        const answer = await fetch(`${log.dataset.log}?from=${from}`, { headers: { "X-Farm-Live": "1" }, cache: "no-store" });
        if (answer.status === 401) {
          location.reload();
          return;
        }
        if (answer.ok) {
          const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
          const text = await answer.text();
          if (text) log.append(text);
          from = Number(answer.headers.get("X-Farm-Next"));
          if (atEnd) log.scrollTop = log.scrollHeight;
          if (answer.headers.get("X-Farm-Over") === "1") return;
        }
      } catch {
        wait = SLOWEST_MS;
      }
      setTimeout(again, wait);
    }
    log.scrollTop = log.scrollHeight;
    setTimeout(again, 1000);
  }

  document.querySelectorAll("[data-live]").forEach(follow);
  document.querySelectorAll("[data-log]").forEach(tail);
})();
