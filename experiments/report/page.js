"use strict";
(function () {
  const config = { displayModeBar: false };
  const plots = Array.from(document.querySelectorAll(".plot"));
  const draw = (plot, width) => Plotly.relayout(plot, { width: width });
  const follow = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const width = target.clientWidth;
      if (width && target.dataset.width !== String(width)) {
        target.dataset.width = String(width);
        draw(target, width);
      }
    }
  });
  for (const plot of plots) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    const width = plot.clientWidth;
    plot.textContent = "";
    plot.classList.add("drawn");
    plot.dataset.width = String(width);
    Plotly.newPlot(plot, figure.data, { ...figure.layout, width: width }, config);
    follow.observe(plot);
  }
  // A printed page has a width of its own: draw for it, and back.
  window.addEventListener("beforeprint", () => plots.forEach((plot) => draw(plot, 640)));
  window.addEventListener("afterprint", () =>
    plots.forEach((plot) => draw(plot, Number(plot.dataset.width)))
  );
})();
