"use strict";
const form = document.getElementById("by-mail");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const said = document.getElementById("said");
  const asked = { email: document.getElementById("email").value };
  try {
    const answer = await fetch("/login", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked),
    });
    const { message, errors } = await answer.json();
    said.textContent = message ?? errors[0].message;
  } catch {
    said.textContent = "The service cannot be reached. Try again.";
  }
});
