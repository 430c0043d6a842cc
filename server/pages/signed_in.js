"use strict";
// The page of a handoff looks here for the token, in this tab.
sessionStorage.setItem("token", document.getElementById("token").textContent.trim());
const handoff = document.getElementById("handoff");
if (handoff) location.replace(handoff.href);
