"use strict";
// Draws the charts, and makes the table sortable and filterable. Names only ever become text.
(() => {
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const figures = JSON.parse(byId("figures").textContent);
  // What Chart.js draws, and the same sign for the legend.
  const SHAPES = [
    ["circle", "\u25cf"], ["triangle", "\u25b2"], ["rect", "\u25a0"], ["rectRot", "\u25c6"],
    ["star", "\u2733"], ["crossRot", "\u2715"], ["cross", "\u271a"], ["dash", "\u2501"],
  ];
  const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2], [14, 4], [2, 2, 6, 2], [4, 6]];
  const COLORS = 8;
  const charts = [];

  function make(name, properties, ...children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  }

  const themed = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const colorOf = (style) => themed(`--series-${style.color % COLORS}`);
  const at = (list, index) => list[index % list.length];

  function shown(value) {
    return value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) >= 100 ? 6 : 3 });
  }

  // Names beside the bubbles, each where it covers no other and stays inside.
  const bubbleNames = {
    id: "bubbleNames",
    afterDatasetsDraw(chart) {
      // Where it is narrow, names would stand beside the wrong bubble; the legend has them.
      if (chart.config.type !== "bubble" || chart.width < 480) return;
      const { ctx, chartArea: area } = chart;
      const marks = chart.data.datasets.flatMap((set, i) =>
        chart.isDatasetVisible(i)
          ? chart.getDatasetMeta(i).data.map((item) => ({ item, name: set.label }))
          : []);
      const taken = marks.map(({ item }) => {
        const r = item.options.radius;
        return { x: item.x - r, y: item.y - r, w: 2 * r, h: 2 * r };
      });
      ctx.save();
      ctx.font = "12px system-ui, sans-serif";
      ctx.fillStyle = themed("--ink");
      ctx.textBaseline = "middle";
      for (const { item, name } of marks) {
        const width = ctx.measureText(name).width, r = item.options.radius + 4;
        const places = [
          [item.x + r, item.y - 7], [item.x - r - width, item.y - 7],
          [item.x - width / 2, item.y - r - 14], [item.x - width / 2, item.y + r],
          [item.x, item.y - r - 14], [item.x, item.y + r],
          [item.x - width, item.y - r - 14], [item.x - width, item.y + r],
        ];
        const free = places.find(([x, y]) =>
          x >= area.left && x + width <= area.right && y >= area.top && y + 14 <= area.bottom &&
          !taken.some((t) => x < t.x + t.w && t.x < x + width && y < t.y + t.h && t.y < y + 14));
        if (!free) continue;
        ctx.fillText(name, free[0], free[1] + 7);
        taken.push({ x: free[0], y: free[1], w: width, h: 14 });
      }
      ctx.restore();
    },
  };

  // Chart.js' choice of marks, in our digits.
  function logarithmicTick(value, index, ticks) {
    return Chart.Ticks.formatters.logarithmic.call(this, value, index, ticks) && shown(value);
  }

  // Room for the bubbles, and none below nothing.
  function widen(scale, values) {
    const least = Math.min(...values), most = Math.max(...values);
    const room = (most - least) * 0.12 || most * 0.1 || 1;
    scale.suggestedMin = least < 0 ? least - room : Math.max(0, least - room);
    scale.suggestedMax = most + room;
  }

  function axis(spec, category) {
    const scale = {
      type: category ? "category" : spec.log ? "logarithmic" : "linear",
      title: { display: Boolean(spec.title), text: spec.title, color: themed("--soft") },
      ticks: { color: themed("--soft"), maxRotation: 0, autoSkipPadding: 12 },
      grid: { color: themed("--line") },
      beginAtZero: spec.zero,
    };
    if (spec.log) scale.ticks.callback = logarithmicTick;
    if (spec.ticks.length) {
      scale.min = spec.ticks[0];
      scale.max = spec.ticks[spec.ticks.length - 1];
      scale.afterBuildTicks = (built) => { built.ticks = spec.ticks.map((value) => ({ value })); };
      scale.ticks.callback = (value) => shown(value);
    }
    return scale;
  }

  function bubbleSets(panel) {
    const sizes = panel.series.flatMap((line) => line.points.map((point) => point.size || 0));
    const most = Math.max(...sizes) || 1;
    return panel.series.map((line) => ({
      label: line.name,
      data: line.points.map((point) => ({
        x: point.x, y: point.y, size: point.size,
        r: Math.max(5, 24 * Math.sqrt((point.size || 0) / most)),
      })),
      backgroundColor: colorOf(line.style) + "99",
      borderColor: colorOf(line.style),
      borderWidth: 2,
      pointStyle: at(SHAPES, line.style.mark)[0],
    }));
  }

  function lineSets(panel) {
    return panel.series.map((line) => ({
      label: line.name,
      data: line.points.map((point) => ({ x: point.x, y: point.y })),
      borderColor: colorOf(line.style),
      backgroundColor: colorOf(line.style),
      borderDash: at(DASHES, line.style.mark),
      borderWidth: 2,
      pointStyle: at(SHAPES, line.style.mark)[0],
      // A long line keeps some of its marks, so that it is known without its colour.
      pointRadius: (point) => (point.dataIndex % Math.ceil(line.points.length / 12) ? 0 : 4),
      clip: 8,
      pointHitRadius: 8,
    }));
  }

  function barSets(panel) {
    return panel.series.map((phase) => ({
      label: phase.name,
      data: phase.points.map((point) => point.x),
      backgroundColor: colorOf(phase.style),
      borderColor: themed("--page"),
      borderWidth: 1,
      maxBarThickness: 28,
    }));
  }

  function tip(figure) {
    return {
      callbacks: {
        title: (items) => items.length && items[0].dataset.label,
        label: (item) => figure.kind === "bars"
          ? `${shown(item.parsed.x)} ${figure.x.title}`
          : [
            `${figure.x.title}: ${shown(item.parsed.x)}`,
            `${figure.y.title}: ${shown(item.parsed.y)}`,
            ...(item.raw.size == null ? [] : [`${figure.size}: ${shown(item.raw.size)}`]),
          ],
      },
    };
  }

  const KINDS = {
    bubbles: { type: "bubble", sets: bubbleSets },
    lines: { type: "line", sets: lineSets },
    bars: { type: "bar", sets: barSets },
  };

  function config(figure, panel) {
    const bars = figure.kind === "bars", kind = KINDS[figure.kind];
    const scales = { x: axis(figure.x), y: axis(figure.y, bars) };
    if (bars) Object.values(scales).forEach((scale) => { scale.stacked = true; });
    if (figure.kind === "bubbles") {
      const points = panel.series.flatMap((line) => line.points);
      for (const way of ["x", "y"]) widen(scales[way], points.map((point) => point[way]));
    }
    return {
      type: kind.type,
      data: { labels: panel.bars.map((name) => name.split(" / ")), datasets: kind.sets(panel) },
      options: {
        animation: false,
        maintainAspectRatio: false,
        indexAxis: bars ? "y" : "x",
        scales,
        interaction: { mode: "nearest", intersect: figure.kind !== "lines" },
        plugins: {
          legend: { display: false },
          tooltip: tip(figure),
        },
      },
      plugins: [bubbleNames],
    };
  }

  function draw(entry) {
    if (entry.chart) entry.chart.destroy();
    const panel = entry.figure.panels[entry.panel];
    const canvas = byId(`chart-${entry.figure.key}`);
    if (panel.bars.length) canvas.parentElement.style.height = `${80 + 44 * panel.bars.length}px`;
    entry.chart = new Chart(canvas, config(entry.figure, panel));
    legend(entry);
  }

  // Of buttons, so that it works without a mouse and has the page's own width.
  function legend(entry) {
    const { chart, figure } = entry;
    const series = figure.panels[entry.panel].series;
    byId(`legend-${figure.key}`).replaceChildren(...series.map((line, i) => {
      const sign = make("span", { textContent: figure.kind === "bars" ? "\u25a0" : at(SHAPES, line.style.mark)[1] });
      sign.style.color = colorOf(line.style);
      sign.setAttribute("aria-hidden", "true");
      const button = make("button", { type: "button", title: "Show or hide" }, sign, ` ${line.name}`);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const visible = !chart.isDatasetVisible(i);
        chart.setDatasetVisibility(i, visible);
        chart.update();
        button.setAttribute("aria-pressed", String(visible));
      });
      return button;
    }));
  }

  function chooser(entry) {
    const names = entry.figure.panels.map((panel) => panel.name);
    if (names.length < 2) return [make("span", { textContent: `Measured with ${names[0]}.` })];
    const select = make("select", {}, ...names.map((name, i) => new Option(name, i)));
    select.addEventListener("change", () => { entry.panel = Number(select.value); draw(entry); });
    return [make("label", {}, "Measured with", select)];
  }

  function applyTheme(theme) {
    root.dataset.theme = theme;
    const button = byId("theme");
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use the ${button.textContent.toLowerCase()} colours`);
    charts.forEach(draw);
  }

  function valueOf(cell) {
    const text = cell.textContent.replaceAll(",", "");
    return cell.classList.contains("number") ? (text === "" ? NaN : Number(text)) : text;
  }

  // Empty cells stay below, whichever way the column is sorted.
  function compare(a, b, way) {
    if (typeof a === "string" && typeof b === "string") return way * a.localeCompare(b, "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return way * (a - b);
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        const keyed = [...body.rows].map((row) => [valueOf(row.cells[column]), row]);
        keyed.sort(([a], [b]) => compare(a, b, way));
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  function filterable(table) {
    const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent);
    const rows = [...table.tBodies[0].rows], status = heads.indexOf("status");
    const said = make("span", { role: "status" });
    const words = make("input", { type: "search", placeholder: "e.g. onnx int8" });
    const kinds = [...new Set(rows.map((row) => row.cells[status].textContent))];
    const kind = make("select", {}, new Option("all", ""), ...kinds.map((name) => new Option(name)));
    const update = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word)) ||
          Boolean(kind.value && row.cells[status].textContent !== kind.value);
      }
      said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
    };
    words.addEventListener("input", update);
    kind.addEventListener("change", update);
    byId("filters").append(make("label", {}, "Filter", words), make("label", {}, "Status", kind), said);
    update();
  }

  function download() {
    const url = URL.createObjectURL(new Blob([byId("report").textContent], { type: "application/json" }));
    const link = make("a", { href: url, download: "report.json" });
    link.click();
    URL.revokeObjectURL(url);
  }

  for (const figure of figures) {
    const entry = { figure, panel: 0, chart: null };
    charts.push(entry);
    byId(`choose-${figure.key}`).append(...chooser(entry));
  }
  for (const id of ["theme", "download"]) byId(id).hidden = false;
  byId("theme").addEventListener("click", () => applyTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  byId("download").addEventListener("click", download);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => applyTheme(event.matches ? "dark" : "light"));
  let before;
  addEventListener("beforeprint", () => { before = root.dataset.theme; applyTheme("light"); });
  addEventListener("afterprint", () => applyTheme(before));
  filterable(byId("rows"));
  sortable(byId("rows"));
  applyTheme(root.dataset.theme);
})();
