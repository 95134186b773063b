// Draws /docs/openapi.json. Everything goes in as text, nothing as markup.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const child of children) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

// The type of a schema in one line, with links to named ones.
function type(schema) {
  if (!schema) return el("span", "");
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    const link = el("a", "", name);
    link.href = "#schema-" + name;
    return link;
  }
  for (const key of ["oneOf", "anyOf", "allOf"]) {
    if (schema[key]) {
      const parts = schema[key].filter((one) => one.type !== "null").map(type);
      const node = el("span", "");
      parts.forEach((part, at) => node.append(at ? " or " : "", part));
      return node;
    }
  }
  if (schema.items) return el("span", "", "list of ", type(schema.items));
  if (schema.enum) return el("code", "", schema.enum.join(" | "));
  const kinds = [].concat(schema.type || "any").filter((kind) => kind !== "null");
  const format = schema.format ? " (" + schema.format + ")" : "";
  return el("span", "", kinds.join(" or ") + format);
}

function rows(head, lines) {
  const table = el("table", "");
  table.append(el("tr", "", ...head.map((text) => el("th", "", text))));
  for (const line of lines) {
    table.append(el("tr", "", ...line.map((cell) => el("td", "", cell))));
  }
  return table;
}

function members(schema) {
  const required = new Set(schema.required || []);
  const lines = Object.entries(schema.properties || {}).map(([name, one]) => [
    el("code", "", name + (required.has(name) ? " *" : "")),
    type(one),
    one.description || "",
  ]);
  return rows(["field", "type", "meaning"], lines);
}

function body(content) {
  return Object.entries(content || {}).map(([kind, one]) => {
    const line = el("p", "", el("code", "", kind), " ", type(one.schema));
    const inline = one.schema && one.schema.properties;
    return inline ? el("div", "", line, members(one.schema)) : line;
  });
}

function route(path, method, operation) {
  const open = operation.security && operation.security.length === 0;
  const inside = el("div", "");
  const parameters = operation.parameters || [];
  if (parameters.length) {
    inside.append(el("h4", "", "Parameters"), rows(["name", "in", "type", "meaning"],
      parameters.map((one) => [el("code", "", one.name), one.in, type(one.schema), one.description || ""])));
  }
  if (operation.requestBody) {
    const must = operation.requestBody.required ? "" : " (may be left out)";
    inside.append(el("h4", "", "Body" + must), ...body(operation.requestBody.content));
  }
  inside.append(el("h4", "", "Answers"));
  for (const [status, answer] of Object.entries(operation.responses || {})) {
    inside.append(el("p", "", el("code", "", status), " ", answer.description || ""), ...body(answer.content));
  }
  const head = el("summary", "", el("span", "method", method.toUpperCase()), el("span", "path", path),
    open ? el("span", "open", "open") : null, el("span", "what", operation.summary || ""));
  const node = el("details", "route", head, inside);
  node.dataset.text = (method + " " + path + " " + (operation.summary || "")).toLowerCase();
  return node;
}

function draw(spec) {
  const groups = new Map();
  for (const [path, item] of Object.entries(spec.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(route(path, method, item[method]));
    }
  }
  const main = document.getElementById("routes");
  main.replaceChildren();
  for (const [tag, nodes] of groups) main.append(el("section", "", el("h2", "", tag), ...nodes));
  const schemas = document.getElementById("schemas");
  for (const [name, schema] of Object.entries(spec.components.schemas)) {
    const inside = el("div", "", el("p", "", schema.description || ""),
      schema.properties ? members(schema) : type(schema));
    const node = el("details", "", el("summary", "", el("code", "", name)), inside);
    node.id = "schema-" + name;
    schemas.append(node);
  }
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
}

document.getElementById("search").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const node of document.querySelectorAll("details.route")) {
    node.hidden = !node.dataset.text.includes(wanted);
  }
});
addEventListener("hashchange", openTarget);

fetch("/docs/openapi.json")
  .then((answer) => answer.json())
  .then((spec) => { draw(spec); openTarget(); })
  .catch((error) => { document.getElementById("routes").textContent = "cannot load: " + error; });
