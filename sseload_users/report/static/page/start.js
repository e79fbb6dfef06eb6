// What the other parts of the script of a page that is one file need, and their start. The page is
// complete without it. No part has a less-than sign or an ampersand, so that the page remains
// well-formed XML.

const made = (name, properties) => Object.assign(document.createElement(name), properties);
const plain = (element) => element.textContent.replaceAll("\u00a0", " ").trim();

document.querySelectorAll("figure.chart").forEach(enhanceChart);
enhanceTables();
