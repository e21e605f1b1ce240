"""One page to label in: no server, no installation, the keys y, n and u; it hands back the plain CSV."""

import json
import re
from collections.abc import Sequence
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Label pictures</title><style>
:root { color-scheme: light dark; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 1.5rem auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; }
header span { flex: 1; font-variant-numeric: tabular-nums; }
#frame { height: 20rem; display: flex; align-items: center; justify-content: center; margin: 1rem 0;
  border: 1px solid var(--line); border-radius: 8px; background: #8881; }
#frame img { width: 18rem; height: 18rem; object-fit: contain; }
.question { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; padding: .4rem .6rem; border-radius: 8px; }
.question.now { background: #8882; outline: 1px solid var(--line); }
.question b { flex: 1; }
button, input { font: inherit; padding: .25rem .8rem; border-radius: 6px; border: 1px solid var(--line); }
button { cursor: pointer; } button.chosen { background: #2b6cb0; color: #fff; }
progress { width: 100%; height: .4rem; } #caption, small { opacity: .7; }
</style></head><body>
<header><span id="count"></span><input id="who" placeholder="your name" aria-label="your name">
<button id="save">Download CSV</button></header>
<progress id="bar"></progress>
<div id="frame"><img id="picture" alt="the picture to label"></div>
<div id="questions"></div>
<p><button id="back">Back</button> <button id="on">Next</button>
<button id="tell">Show caption</button> <span id="caption" hidden></span></p>
<small>Keys: y yes, n no, u unsure, arrows to go back and on. Answers are kept in this browser until you download
them; put the file into data/01_raw/annotations. What you leave open is no answer.</small>
<script>
const tasks = TASKS, concepts = CONCEPTS, store = "labels " + KEY;
const get = id => document.getElementById(id);
let kept = {};
try { kept = JSON.parse(localStorage.getItem(store)) || {}; } catch { kept = {}; }
let said = kept.said || {}, at = 0, asked = 0;
get("who").value = kept.who || "";
get("picture").onload = event => {
  event.target.style.imageRendering = event.target.naturalWidth < 128 ? "pixelated" : "auto";
};
const answers = uid => said[uid] ||= {};
function keep() {
  try { localStorage.setItem(store, JSON.stringify({ said, who: get("who").value })); } catch {}
}
function show() {
  const task = tasks[at];
  if (!task) { get("count").textContent = "There is nothing to label."; return; }
  if (!get("picture").src.endsWith(task.image)) get("picture").src = task.image;
  get("caption").textContent = task.caption;
  const done = tasks.filter(one => concepts.some(name => answers(one.uid)[name])).length;
  get("count").textContent = `picture ${at + 1} of ${tasks.length}, ${done} answered`;
  get("bar").max = tasks.length; get("bar").value = done;
  get("questions").replaceChildren(...concepts.map((name, place) => {
    const row = document.createElement("div"), text = document.createElement("b");
    row.className = "question" + (place === asked ? " now" : "");
    text.textContent = `Does it show: ${name.replaceAll("_", " ")}?`;
    row.append(text, ...["yes", "no", "unsure"].map(word => {
      const button = document.createElement("button");
      button.textContent = word;
      if (answers(task.uid)[name] === word) button.className = "chosen";
      button.onclick = () => { asked = place; answer(word); };
      return button;
    }));
    return row;
  }));
}
function answer(word) {
  if (!tasks[at]) return;
  answers(tasks[at].uid)[concepts[asked]] = word;
  asked += 1;
  if (asked === concepts.length) go(1); else { keep(); show(); }
}
function go(step) {
  at = Math.max(0, Math.min(tasks.length - 1, at + step));
  asked = 0; get("caption").hidden = true;
  keep(); show();
}
function cell(value) { return `"${String(value ?? "").replaceAll('"', '""')}"`; }
function table() {
  const head = ["uid", "round", "inclusion_probability", "annotator", ...concepts];
  const rows = tasks.filter(one => concepts.some(name => answers(one.uid)[name])).map(one =>
    [one.uid, one.round, one.inclusion_probability, get("who").value, ...concepts.map(name => answers(one.uid)[name])]);
  return [head, ...rows].map(row => row.map(cell).join(",")).join("\\n") + "\\n";
}
get("save").onclick = () => {
  const link = document.createElement("a"), who = get("who").value.replace(/[^\\w-]+/g, "_") || "labels";
  link.href = URL.createObjectURL(new Blob([table()], { type: "text/csv" }));
  link.download = `round${tasks[0] ? tasks[0].round : 0}_${who}.csv`;
  link.click();
};
get("who").onchange = keep;
get("back").onclick = () => go(-1);
get("on").onclick = () => go(1);
get("tell").onclick = () => { get("caption").hidden = !get("caption").hidden; };
document.onkeydown = event => {
  if (event.target === get("who") || event.ctrlKey || event.metaKey || event.altKey) return;
  const word = { y: "yes", n: "no", u: "unsure" }[event.key.toLowerCase()];
  if (word) answer(word);
  else if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
};
show();
</script></body></html>
"""


def label_page(tasks: Sequence[dict[str, Any]], concepts: Sequence[str]) -> str:
    """Write the page for Label Studio's tasks; the pictures are inside it."""
    shown = ("uid", "caption", "image", "round", "inclusion_probability")
    rows = [{name: task["data"][name] for name in shown} for task in tasks]
    key = "-".join([*concepts, rows[0]["uid"], str(rows[0]["round"])]) if rows else ""
    given = {"TASKS": rows, "CONCEPTS": list(concepts), "KEY": key}
    return re.sub(r"\b(TASKS|CONCEPTS|KEY)\b", lambda found: _script(given[found[0]]), _PAGE)


def _script(value: object) -> str:
    """Write a value for use inside a script element, which a text must not be able to end."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
