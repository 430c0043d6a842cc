"use strict";
const id = location.pathname.split("/").pop();
const at = (name) => document.getElementById(name);
const FIELDS = `id state priority notes createdAt claimedAt
  claimedBy { id name } handedOffBy { name } session { psaTicketId team { name } }
  snapshot { problemSummary problemDomain stepCount branches { label status statusReason } }`;

// Resolves to what the service answers; fails with a sentence where nothing, or something else, answers.
async function post(path, body, headers) {
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body),
    });
    return await answer.json();
  } catch {
    throw new Error("The service cannot be reached. Try again.");
  }
}

async function ask(query) {
  const authorization = "Bearer " + sessionStorage.getItem("token");
  const { data, errors } = await post("/graphql", { query, variables: { id } }, { authorization });
  if (errors) throw Object.assign(new Error(errors[0].message), { code: errors[0].extensions?.code });
  return data;
}

function show(handoff, isMine, mayClaim) {
  const { snapshot, session, priority } = handoff;
  document.querySelector("main").className = priority.toLowerCase();
  at("priority").textContent = priority;
  at("team").textContent = session.team?.name ?? "";
  at("problem").textContent = snapshot.problemSummary ?? "Untitled problem";
  at("state").textContent = handoff.state === "OPEN" ? `Nobody has it yet.${mayClaim ? "" : " To claim it takes an engineer or admin."}`
    : handoff.state === "CLAIMED"
      ? `${isMine ? "It is yours" : `${handoff.claimedBy.name} has it`} since ${new Date(handoff.claimedAt).toLocaleString()}.`
      : "It is closed. The session was resolved or handed off again.";
  at("notes").textContent = handoff.notes ?? `${handoff.handedOffBy.name} left no notes.`;
  const facts = [
    ["Handed off", `${new Date(handoff.createdAt).toLocaleString()} by ${handoff.handedOffBy.name}`],
    ["Domain", snapshot.problemDomain], ["Ticket", session.psaTicketId], ["Steps", String(snapshot.stepCount)],
    ...snapshot.branches.map((branch) =>
      [branch.label, [branch.status.replaceAll("_", " "), branch.statusReason].filter(Boolean).join(": ")]),
  ];
  at("facts").replaceChildren(...facts.filter(([, value]) => value).flatMap(([name, value]) => {
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name; text.textContent = value;
    return [term, text];
  }));
  at("claim").hidden = handoff.state !== "OPEN" || !mayClaim;
  at("handoff").hidden = false;
  at("sign-in").hidden = true;
}

function fail(error) {
  at("trouble").textContent = error.message;
  if (error.code === "UNAUTHENTICATED") sessionStorage.removeItem("token");
  // Whoever is signed in as somebody of another account may be the right person, too.
  if (error.code === "UNAUTHENTICATED" || error.code === "NOT_FOUND") at("sign-in").hidden = false;
}

// Whoever has it is told what to know before going on.
async function brief() {
  const { handoffBriefing } = await ask("query ($id: ID!) { handoffBriefing(handoffId: $id) { text } }");
  at("briefing").textContent = handoffBriefing.text;
  at("briefed").hidden = false;
}

async function load() {
  try {
    const { handoff, me } = await ask(`query ($id: ID!) { handoff(id: $id) { ${FIELDS} } me { id role } }`);
    const isMine = handoff.state === "CLAIMED" && handoff.claimedBy.id === me.id;
    at("trouble").textContent = "";
    at("briefed").hidden = true;
    show(handoff, isMine, me.role !== "VIEWER");
    if (isMine) await brief();
  } catch (error) { fail(error); }
}

at("by-mail")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { message, errors } = await post("/login", { email: at("email").value, handoffId: id });
    at("said").textContent = message ?? errors[0].message;
  } catch (error) { at("said").textContent = error.message; }
});
at("by-token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value.trim());
  load();
});
at("claim").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  try {
    const { claimHandoff } = await ask(`mutation ($id: ID!) { claimHandoff(input: { handoffId: $id }) {
      ... on Problem { message } } }`);
    await load();
    if (claimHandoff.message) at("trouble").textContent = claimHandoff.message;
  } catch (error) { fail(error); } finally { button.disabled = false; }
});
sessionStorage.getItem("token") ? load() : (at("sign-in").hidden = false);
