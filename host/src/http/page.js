// Shows /status.json, and again every two seconds. Texts of jobs are strangers' texts: they are set as text, never as HTML.
"use strict";

function row(cells) {
  const tr = document.createElement("tr");
  for (const [text, kind, link] of cells) {
    const td = document.createElement("td");
    if (kind) td.className = kind;
    if (link) {
      const a = document.createElement("a");
      a.href = link;
      a.textContent = text;
      td.append(a);
    } else {
      td.textContent = text;
    }
    tr.append(td);
  }
  return tr;
}

function fill(table, rows) {
  document.querySelector(`#${table} tbody`).replaceChildren(...rows.map(row));
}

function show(status) {
  document.getElementById("node").textContent = status.node;
  const ended = Object.entries(status.ended).filter(([, count]) => count > 0).map(([outcome, count]) => `${count} ${outcome}`);
  document.getElementById("summary").textContent =
    `version ${status.version}; ${status.slots_used} slots used, ${status.waiting} jobs wait for one, ` +
    `${status.on_disk} durable jobs wait on disk${status.draining ? "; takes no new jobs" : ""}; ended: ${ended.join(", ") || "none"}`;
  fill("nodes", status.nodes.map((node) => [
    [node.name], [node.state + (node.draining ? ", draining" : ""), node.state], [node.cores], [node.labels], [node.id],
  ]));
  fill("computations", status.computations.map((one) => [
    [one.id], [one.tenant], [one.label], [one.waiting], [one.running], [one.ended],
  ]));
  fill("jobs", status.jobs.map((job) => [
    [job.id, "", job.durable ? `/logs/${job.id}` : ""], [job.tenant], [job.label], [job.function], [job.state, job.state], [job.node], [job.attempt],
  ]));
}

async function look() {
  const stale = document.getElementById("stale");
  try {
    const answer = await fetch("/status.json");
    if (!answer.ok) throw new Error(`the node answered ${answer.status}`);
    show(await answer.json());
    stale.textContent = "";
  } catch (error) {
    stale.textContent = `Not up to date: ${error.message}`;
  }
  setTimeout(look, 2000);
}

look();
