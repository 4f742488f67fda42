"use strict";
(() => {
  // Tables of many rows: those with a text, or with a status. Without scripts all rows are there.
  for (const form of document.querySelectorAll("[data-narrows]")) {
    const rows = [...document.getElementById(form.dataset.narrows).tBodies[0].rows];
    const [text, status, count] = ["input", "select", "output"].map((name) => form.querySelector(name));
    const narrow = () => {
      const wanted = text.value.toLowerCase();
      let shown = 0;
      for (const row of rows) {
        const fits = !status.value || row.querySelector(".status").textContent === status.value;
        row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length}`;
    };
    form.addEventListener("input", narrow);
    form.hidden = false;
    narrow();
  }

  const root = document.documentElement;
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const plots = [...document.querySelectorAll("script[data-figure]")].map((source) => {
    const figure = JSON.parse(source.textContent);
    const range = figure.layout.xaxis?.range;
    const place = document.getElementById(source.dataset.figure);
    place.style.height = `${figure.layout.height}px`; // when the window changes, plotly makes a chart as high as its place
    return { place, figure, whole: range && [...range] };
  });

  // A figure has no colour that depends on light or dark; the page's style has them.
  const colours = () => {
    const style = getComputedStyle(root);
    const ink = style.getPropertyValue("--ink").trim();
    const line = style.getPropertyValue("--line").trim();
    const paper = style.getPropertyValue("--paper").trim();
    return {
      "font.color": ink, "xaxis.gridcolor": line, "yaxis.gridcolor": line, "xaxis.linecolor": line,
      "hoverlabel.bgcolor": paper, "hoverlabel.font.color": ink, "hoverlabel.bordercolor": ink,
    };
  };
  const relayout = (changes) => Promise.all(plots.map(({ place }) => Plotly.relayout(place, changes(place))));
  const paint = () => relayout(colours);

  const drawn = Promise.all(plots.map(({ place, figure }) => Plotly.newPlot(place, figure.data, figure.layout, config)));
  drawn.then(paint).then(() => { root.dataset.drawn = "yes"; });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

  const PAGE_PX = 860; // of A4 and Letter, what a heading and a caption leave
  const heights = new Map(plots.map(({ place, figure }) => [place, figure.layout.height]));
  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) { closed.add(details); details.open = true; }
    for (const [place, height] of heights) place.style.height = `${Math.min(height, PAGE_PX)}px`;
    root.classList.add("printing"); // the style makes the charts as wide as paper
    relayout((place) => ({ ...colours(), width: place.clientWidth, height: Math.min(heights.get(place), PAGE_PX) }));
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
    closed.clear();
    root.classList.remove("printing");
    for (const [place, height] of heights) place.style.height = `${height}px`;
    relayout((place) => ({ ...colours(), width: null, height: heights.get(place), autosize: true }));
  });

  const steps = { in: [0.25, 0.75], out: [-0.5, 1.5], left: [-0.25, 0.75], right: [0.25, 1.25] };
  for (const group of document.querySelectorAll(".zoom")) group.hidden = false;
  for (const button of document.querySelectorAll("button[data-zoom]")) {
    button.addEventListener("click", () => {
      const plot = plots.find(({ place }) => place.id === button.dataset.for);
      const [first, last] = plot.whole; // the chart changes its own layout
      const [low, high] = plot.place.layout.xaxis.range;
      const step = steps[button.dataset.zoom];
      const range = step ? step.map((share) => low + share * (high - low)) : [first, last];
      Plotly.relayout(plot.place, { "xaxis.range": [Math.max(first, range[0]), Math.min(last, range[1])] });
    });
  }
})();
