// Draws the charts of a page with plotly.js. Each is a figure whose data is JSON in a script element that never runs.
"use strict";

(() => {
  const scheme = matchMedia("(prefers-color-scheme: dark)");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function draw(place) {
    const told = JSON.parse(document.getElementById(place.dataset.chart).textContent);
    const text = colour("text");
    const grid = colour("line");
    const traces = told.traces.map(({ colour: name, ...trace }) => ({
      ...trace,
      marker: { ...trace.marker, color: colour(name) },
      ...(trace.line && { line: { ...trace.line, color: colour(name) } }),
    }));
    const layout = {
      margin: { l: 70, r: 20, t: 30, b: 60 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: text, family: "system-ui, sans-serif", size: 13 },
      hovermode: "closest",
      legend: { orientation: "h", y: 1.12, x: 0 },
      showlegend: traces.length > 1,
      xaxis: { title: { text: told.x }, gridcolor: grid, zeroline: false, ...(told.order && { type: "category", categoryorder: "array", categoryarray: told.order }) },
      yaxis: { title: { text: told.y }, gridcolor: grid, zeroline: false, rangemode: "normal" },
      shapes: told.lines.map((line) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: line.y, y1: line.y, line: { color: colour("budget"), dash: "dash", width: 2 } })),
      annotations: told.lines.map((line) => ({ xref: "paper", x: 1, y: line.y, text: line.name, showarrow: false, yanchor: "bottom", xanchor: "right", font: { color: colour("budget") } })),
    };
    const choices = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d"] };
    window.Plotly.react(place, traces, layout, choices);
  }

  for (const place of document.querySelectorAll("[data-chart]")) {
    draw(place);
    scheme.addEventListener("change", () => draw(place));
    place.on("plotly_click", (event) => {
      const where = event.points[0].customdata;
      if (typeof where === "string" && where.startsWith("/runs/")) location.assign(where);
    });
  }
})();
