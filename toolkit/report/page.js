(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const spot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  spot.setAttribute("class", "spot");
  spot.setAttribute("r", "6");

  const hide = () => { tip.hidden = true; spot.remove(); };

  const show = (svg, point) => {
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const box = svg.getBoundingClientRect();
    spot.setAttribute("cx", point[0]);
    spot.setAttribute("cy", point[1]);
    svg.append(spot);
    tip.textContent = point[2];
    tip.hidden = false;
    const x = box.left + point[0] * scale, y = box.top + point[1] * scale;
    const left = Math.min(Math.max(8, x - tip.offsetWidth / 2), document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = y - tip.offsetHeight - 12;
    tip.style.left = left + window.scrollX + "px";
    tip.style.top = (above < 4 ? y + 14 : above) + window.scrollY + "px";
  };

  for (const svg of document.querySelectorAll("svg[data-points]")) {
    const points = JSON.parse(svg.dataset.points);
    let current = -1;
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let least = Infinity;
      points.forEach((p, i) => {
        const distance = Math.hypot(p[0] - x, (p[1] - y) * 0.6);
        if (distance < least) { least = distance; current = i; }
      });
      if (least < 60) show(svg, points[current]); else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      current = (current + step + points.length) % points.length;
      show(svg, points[current]);
    });
  }
})();
