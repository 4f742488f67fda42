// What moves on a page: parts that the service sends when they have changed, and logs that grow. Everything works without it.
"use strict";

(() => {
  const FIRST_MS = 2000;
  const LATE_MS = 15000;
  const SLOWEST_MS = 30000;

  // A part with data-live is replaced by each event that comes from that address. The service escapes all of it.
  function follow(part) {
    let source = null;
    let wait = FIRST_MS;
    let late = 0; // says that nothing has come for a while
    let again = 0;

    function open() {
      source = new EventSource(part.dataset.live);
      source.addEventListener("open", fresh);
      source.addEventListener("part", (event) => {
        fresh();
        wait = FIRST_MS;
        show(part, event.data);
      });
      source.addEventListener("over", () => {
        close();
        location.reload();
      });
      source.addEventListener("error", () => {
        if (!late) late = setTimeout(() => part.classList.add("stale"), LATE_MS);
        if (source.readyState !== EventSource.CLOSED) return; // it comes back by itself
        again = setTimeout(open, wait);
        wait = Math.min(wait * 2, SLOWEST_MS);
      });
    }

    function fresh() {
      clearTimeout(late);
      late = 0;
      part.classList.remove("stale");
    }

    function close() {
      source?.close();
      clearTimeout(again);
      clearTimeout(late);
      late = 0;
    }

    // A browser has six connections for one service, so a page that nobody sees keeps none of them.
    document.addEventListener("visibilitychange", () => {
      close();
      if (!document.hidden) open();
    });
    if (!document.hidden) open();
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
