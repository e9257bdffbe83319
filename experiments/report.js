"use strict";
(function () {
  const config = { displayModeBar: false, responsive: true };
  const plots = Array.from(document.querySelectorAll(".plot"));
  for (const plot of plots) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    plot.textContent = "";
    plot.classList.add("drawn");
    Plotly.newPlot(plot, figure.data, figure.layout, config);
  }
  // A printed page has its own width: draw for it, and back.
  const fit = (width) => plots.forEach((plot) => Plotly.relayout(plot, { width: width, autosize: !width }));
  window.addEventListener("beforeprint", () => fit(640));
  window.addEventListener("afterprint", () => fit(null));
})();
