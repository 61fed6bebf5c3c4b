"use strict";
// The page of a run. Names come from other people's files: they become text nodes, never markup, and characters that
// would hide or turn around what stands beside them are shown as escapes, as the library does in a terminal.

const UNSAFE = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const visible = (text) => String(text).replace(UNSAFE, (c) => {
  const code = c.codePointAt(0).toString(16);
  return code.length <= 2 ? "\\x" + code.padStart(2, "0") : code.length <= 4 ? "\\u" + code.padStart(4, "0")
    : "\\U" + code.padStart(8, "0");
});
const SHOWN = 5;  // elements of each part
const byId = (id) => document.getElementById(id);
const number = (value, digits = 2) => value.toFixed(digits).replace("-", "\u2212");
const signed = (value) => (value < 0 ? "" : "+") + number(value);
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** An element with attributes, and children that are elements or text. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null).map((child) => child instanceof Node ? child : visible(child)));
  return node;
}

function share(className, part) {
  const node = make("span", { class: className });
  node.style.width = `${100 * Math.max(0, Math.min(1, part))}%`;
  return node;
}

/** What an endpoint answers. Throws an Error with the server's sentence. */
async function ask(path, parameters = {}, { body = null, signal = null } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) for (const each of [value].flat()) query.append(name, each);
  const options = body === null ? { signal } : {
    signal, method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  let response;
  try {
    response = await fetch(`api/${path}?${query}`, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The server does not answer; is it still running?");
  }
  const answer = await response.json().catch(() => ({ error: `The server answered with ${response.status}.` }));
  if (!response.ok) throw new Error(answer.error + (answer.id ? ` (${answer.id})` : ""));
  return answer;
}

const state = { run: null, profile: null, history: [], friends: [], isNew: false, before: null, asking: null };

function complain(problem) {
  if (problem.name === "AbortError") return;
  byId("problem").textContent = visible(problem.message);
  byId("problem").hidden = false;
}

const known = (named) => String(named.id) === named.title ? null : make("span", { class: "soft" }, ` ${named.id}`);

/** A search box after the pattern of ARIA's combobox; `choose` is called with what was chosen, {id, title}. */
function searchBox(place, { id, label, kind, choose, clears }) {
  const list = make("ul", { class: "options", id: `${id}-options`, role: "listbox", "aria-label": label, hidden: true });
  const input = make("input", { type: "text", id, role: "combobox", autocomplete: "off", spellcheck: "false",
    "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list", "aria-label": label,
    placeholder: label, maxlength: "500" });
  let found = [], at = -1, asked = 0, timer = 0;
  const close = () => {
    asked += 1;
    clearTimeout(timer);
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const mark = (place) => {
    at = place;
    [...list.children].forEach((option, n) => option.setAttribute("aria-selected", String(n === at)));
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  };
  const take = (named) => {
    input.value = clears ? "" : String(named.id);
    close();
    choose(named);
  };
  const look = async (prefix) => {
    const mine = (asked += 1);
    try {
      const answer = await ask(kind, { prefix, most: 20 });
      if (mine !== asked) return;
      found = answer.found;
      list.replaceChildren(...found.map((named, n) => make("li",
        { id: `${id}-${n}`, role: "option", "aria-selected": "false",
          onmousedown: (event) => { event.preventDefault(); take(named); } }, named.title, known(named))));
      if (!found.length) list.append(make("li", { class: "none", role: "option", "aria-disabled": "true" }, "nothing begins like that"));
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      mark(found.length && prefix ? 0 : -1);
    } catch (problem) { complain(problem); }
  };
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => look(input.value), 120); });
  input.addEventListener("focus", () => { input.select(); look(""); });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return close();
    if (event.key === "Enter" && !list.hidden && found[at]) { event.preventDefault(); return take(found[at]); }
    if (event.key === "Enter" && input.value.trim() && !clears) {
      return take({ id: input.value.trim(), title: input.value.trim() });
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    if (list.hidden) return look(input.value);
    if (found.length) mark((at + step + found.length) % found.length);
  });
  place.replaceChildren(input, list);
  return input;
}

const same = (one, other) => String(one.id) === String(other.id);

function drawNames(which, word) {
  const list = byId(which), names = state[which], was = state.profile[which], total = state.profile[`${which}_count`];
  const can = state.run.can.new_users && (which === "history" || state.run.can.friends);
  list.replaceChildren(...names.map((named) => make("li", { class: was.some((one) => same(one, named)) ? "" : "added" },
    make("span", {}, named.title, known(named)),
    can ? make("button", { type: "button", "aria-label": `Remove ${visible(named.title)}`, onclick: () => {
      const at = state[which].findIndex((one) => same(one, named));
      change(which, state[which].filter((one) => !same(one, named)));
      (list.querySelectorAll("button")[at] ?? list.querySelector("li:last-child button") ?? list).focus();
    } }, "\u00d7") : null)));
  const cut = !state.isNew && total > names.length ? `, of which ${names.length} are shown` : "";
  const shown = state.isNew ? names.length : total;
  byId(`${which}-title`).textContent = `${word} (${shown.toLocaleString("en")}${cut})`;
}

function change(which, names) {
  state[which] = names;
  const same_as_before = ["history", "friends"].every((each) => state[each].length === state.profile[each].length
    && state[each].every((named) => state.profile[each].some((one) => same(one, named))));
  state.isNew = !same_as_before;
  draw();
}

const ids = (names) => names.map((named) => named.id);

/** The items for what is chosen now: of a trained user with reasons, or of somebody new. */
async function answer(signal) {
  const k = Math.min(Number(byId("k").value), state.run.items);
  if (!state.isNew) {
    const seen = byId("seen").checked;
    const { items } = await ask("recommend", { user: state.profile.user, k, exclude_seen: !seen }, { signal });
    const reasons = [];
    for (let from = 0; state.run.can.explanations && from < items.length; from += 10) {
      const item = items.slice(from, from + 10).map((each) => each.item);
      reasons.push(...(await ask("explain", { user: state.profile.user, item, shown: SHOWN }, { signal })).explanations);
    }
    return { items, reasons };
  }
  const friends = state.run.can.friends;
  const body = (history, followed) => ({ items: ids(history), friends: friends ? ids(followed) : [], k });
  if (state.before?.k !== k) {
    const { profile } = state;
    const { items } = await ask("recommend_new", {}, { body: body(profile.history, profile.friends), signal });
    state.before = { k, ranks: new Map(items.map((each, rank) => [String(each.item), rank + 1])) };
  }
  const { items } = await ask("recommend_new", {}, { body: body(state.history, state.friends), signal });
  return { items, reasons: [], before: state.before.ranks };
}

async function draw() {
  drawNames("history", "History");
  drawNames("friends", "Friends");
  state.asking?.abort();
  state.asking = new AbortController();
  const { signal } = state.asking;
  byId("items").setAttribute("aria-busy", "true");
  try {
    const { items, reasons, before } = await answer(signal);
    if (signal.aborted) return;
    byId("problem").hidden = true;
    drawMode();
    drawLegend(reasons);
    byId("items").replaceChildren(...items.map((each, n) => card(each, n, reasons[n], before, signal)));
    byId("status").textContent = items.length ? visible(`${count(items.length, "item")}, first ${items[0].title}`)
      : "No items are left.";
  } catch (problem) {
    complain(problem);
  } finally {
    if (!signal.aborted) byId("items").setAttribute("aria-busy", "false");
  }
}

function drawMode() {
  const user = visible(state.profile.user), mode = byId("mode");
  byId("answer-title").textContent = state.isNew ? "For a new user with this history" : `Recommended to user ${user}`;
  byId("reset").hidden = mode.hidden = !state.isNew;
  byId("seen-label").hidden = state.isNew;
  const what = count(state.history.length, "item") + (state.run.can.friends ? ` and ${count(state.friends.length, "friend")}` : "");
  mode.textContent = `This is for a new user with ${what}, whom the model has not been trained on; it is not what user `
    + `${user} would get. Arrows compare with a new user who has user ${user}'s unchanged `
    + (state.run.can.friends ? "history and friends." : "history.");
}

function drawLegend(reasons) {
  byId("legend").replaceChildren(...(reasons[0]?.parts ?? []).map((part, n) =>
    make("span", {}, make("span", { class: `swatch c${n % 8}` }), part.label)),
    ...(reasons.some((why) => why.parts.some((part) => part.value < 0))
      ? [make("span", {}, make("span", { class: "swatch c7 minus" }), "striped: lowers the score")] : []));
}

function card(item, n, why, before, signal) {
  const was = before?.get(String(item.item)), moved = was === undefined ? null : was - (n + 1);
  const change = before === undefined ? null : was === undefined
    ? make("span", { class: "moved up" }, "new in the list") : moved === 0 ? make("span", { class: "soft" }, "as before")
    : make("span", { class: `moved ${moved > 0 ? "up" : "down"}` }, `${moved > 0 ? "\u25b2" : "\u25bc"} ${Math.abs(moved)}, was ${was}`);
  const id = String(item.item) === item.title ? null : make("span", { class: "soft" }, item.item);
  return make("li", {},
    state.run.can.pictures ? picture(item, signal) : null,
    make("div", { class: "head" }, make("span", { class: "rank" }, `${n + 1}`), make("h3", {}, item.title),
      make("span", { class: "score", title: "score" }, number(item.score)), id, change),
    ...(why ? parts(why) : []),
    state.run.can.similar_items ? similar(item) : null);
}

function picture(item, signal) {
  const caption = make("figcaption", {});
  const image = make("img", { src: `api/picture?${new URLSearchParams({ item: item.item, or_none: true })}`, loading: "lazy",
    alt: `Picture of ${visible(item.title)}` });
  const figure = make("figure", {}, image, caption);
  let isAsked = state.run.can.key_frames && !state.isNew, hasFailed = false;
  const fail = () => { hasFailed = true; if (!isAsked) figure.remove(); };  // a key frame may still take its place
  image.addEventListener("error", fail);
  if (isAsked) {
    ask("key_frames", { user: state.profile.user, item: item.item, k: 1 }, { signal }).then(({ frames: [best] }) => {
      isAsked = hasFailed = false;
      image.src = `api/picture?${new URLSearchParams({ item: item.item, frame: best.item })}`;
      caption.textContent = visible(`key frame of this user: ${best.title}`);
    }, () => { isAsked = false; if (hasFailed) fail(); });  // an item without frames keeps the picture it has
  }
  return figure;
}

function parts(why) {
  const whole = why.parts.reduce((sum, part) => sum + Math.abs(part.value), 0) || 1;
  const title = why.parts.map((part) => `${part.label} ${signed(part.value)}`).join(", ");
  const bar = make("div", { class: "parts", role: "img", "aria-label": `Parts of the score: ${visible(title)}` },
    ...why.parts.map((part, n) => share(`c${n % 8}${part.value < 0 ? " minus" : ""}`, Math.abs(part.value) / whole)));
  const lines = why.parts.map((part, n) => make("li", {},
    make("span", {}, make("span", { class: `swatch c${n % 8}` }), part.label), make("span", { class: "number" }, signed(part.value))));
  const colour = (group) => Math.max(0, why.parts.findIndex((part) => part.name === group.part)) % 8;
  const groups = why.elements.filter((group) => group.ranked.length).flatMap((group) => elements(group, colour(group)));
  return [bar, make("ul", { class: "reasons" }, ...lines),
    groups.length ? make("details", {}, make("summary", {}, `What the parts are made of${why.exact ? "" : " (estimates)"}`), ...groups) : null,
  ].filter(Boolean);
}

function elements(group, colour) {
  const largest = Math.max(...group.ranked.map((each) => Math.abs(each.contribution)), 1e-12);
  const lines = group.ranked.map((each) => make("li", {}, make("span", {}, each.title), make("span", { class: "number" }, signed(each.contribution))));
  const list = make("ul", { class: "reasons" });
  lines.forEach((line, n) => list.append(line, make("li", { class: "share", "aria-hidden": "true" },
    share(`c${colour}${group.ranked[n].contribution < 0 ? " minus" : ""}`, Math.abs(group.ranked[n].contribution) / largest))));
  if (group.rest.count) {
    list.append(make("li", {}, make("span", { class: "soft" }, `${count(group.rest.count, "other")}`),
      make("span", { class: "number" }, signed(group.rest.contribution))));
  }
  return [make("h4", {}, group.label), list];
}

function similar(item) {
  const list = make("ol", { class: "reasons" });
  const box = make("details", { ontoggle: async () => {
    if (!box.open || list.childElementCount) return;
    try {
      const { items } = await ask("similar", { item: item.item, k: Math.min(5, state.run.items - 1) });
      list.replaceChildren(...items.map((each) => make("li", {}, make("span", {}, each.title), make("span", { class: "number" }, number(each.score)))));
    } catch (problem) { complain(problem); }
  } }, make("summary", {}, "Similar items"), list);
  return box;
}

async function pick(id) {
  try {
    state.profile = await ask("profile", { user: id });
  } catch (problem) { return complain(problem); }
  Object.assign(state, { history: state.profile.history, friends: state.profile.friends, isNew: false, before: null });
  byId("user").value = String(state.profile.user);
  history.replaceState(null, "", `#${new URLSearchParams({ user: state.profile.user })}`);
  await draw();
}

function add(which) {
  return (named) => {
    if (!state.profile || state[which].some((one) => same(one, named))) return;
    change(which, [named, ...state[which]]);
  };
}

async function start() {
  const run = state.run = await ask("run");
  document.title = byId("title").textContent = `${run.model} on ${visible(run.data_set)}`;
  byId("about").textContent = `${count(run.users, "user")}, ${count(run.items, "item")}, `
    + `${count(run.training_pairs, "training pair")}, seed ${run.seed}`;
  for (const banner of [byId("banner"), byId("banner-again")]) {
    banner.textContent = visible(run.banner);
    banner.classList.toggle("made", run.warning !== "");
  }
  searchBox(byId("user-search"), { id: "user", label: "Id of a user", kind: "users", choose: (named) => pick(named.id) });
  if (run.can.new_users) {
    byId("history-add").className = byId("friends-add").className = "search";
    searchBox(byId("history-add"), { id: "add-item", label: "Add an item", kind: "items", choose: add("history"), clears: true });
    if (run.can.friends) {
      searchBox(byId("friends-add"), { id: "add-friend", label: "Add a friend", kind: "users", choose: add("friends"), clears: true });
    }
  } else {
    byId("fixed").textContent = `${run.model} cannot take in a new user without training, so `
      + (run.can.friends ? "history and friends are only shown." : "the history is only shown.");
    byId("fixed").hidden = false;
  }
  byId("friends-panel").hidden = !run.can.friends;
  byId("k").addEventListener("change", draw);
  byId("seen").addEventListener("change", draw);
  byId("reset").addEventListener("click", () => {
    Object.assign(state, { history: state.profile.history, friends: state.profile.friends, isNew: false });
    draw();
    byId("answer").focus();
  });
  const inAddress = () => new URLSearchParams(location.hash.slice(1)).get("user");
  addEventListener("hashchange", () => { if (inAddress() !== null) pick(inAddress()); });
  const asked = inAddress();
  const first = asked ?? (await ask("users", { most: 1 })).found[0].id;
  await pick(first);
}

start().catch(complain);
