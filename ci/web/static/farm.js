// What moves on a page: parts that the service sends when they have changed, logs that grow, and answers while one writes. Everything works without it.
"use strict";

(() => {
  const FIRST_MS = 2000;
  const LATE_MS = 15000;
  const SLOWEST_MS = 30000;
  const PAUSE_MS = 700; // in typing, before a form is sent by itself

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

  // A form with data-try is sent while it is written, one question at a time, and its answer shown in that part.
  function attempt(form) {
    const part = document.getElementById(form.dataset.try);
    let waiting = 0;
    let asking = false;
    let stale = false; // it was changed while the service was asked

    async function ask() {
      if (asking) {
        stale = true;
        return;
      }
      asking = true;
      stale = false;
      part.setAttribute("aria-busy", "true");
      const wanted = { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { "X-Farm-Live": "1" } };
      try {
        const answer = await fetch(form.action, wanted);
        if (answer.headers.get("X-Farm-Part")) part.innerHTML = await answer.text();
        else refuse(answer.status === 401 ? "You are signed out. Sign in in another tab." : `The service refuses it (${answer.status}).`);
      } catch {
        refuse("The service does not answer.");
      }
      part.removeAttribute("aria-busy");
      asking = false;
      if (stale) ask();
    }

    function refuse(word) {
      const line = document.createElement("p");
      line.className = "refused";
      line.setAttribute("role", "alert");
      line.textContent = word;
      part.replaceChildren(line);
    }

    form.addEventListener("input", () => {
      clearTimeout(waiting);
      if (form.checkValidity()) waiting = setTimeout(ask, PAUSE_MS);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(waiting);
      ask();
    });
  }

  document.querySelectorAll("[data-live]").forEach(follow);
  document.querySelectorAll("[data-log]").forEach(tail);
  document.querySelectorAll("[data-try]").forEach(attempt);
})();
