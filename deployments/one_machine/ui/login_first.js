// One login for the console and for Prefect's UI: without it, lead to the console's login page. The console's script
// writes a sign where Prefect's UI keeps its password; the server accepts the sign with the console's session only.
const SIGNED_IN = "prefect-password";

function logInFirst(path) {
  location.replace("/console/login?next=" + encodeURIComponent(path));
}

const wanted = location.pathname === "/login"
  ? new URLSearchParams(location.search).get("redirect") || "/dashboard"
  : location.pathname + location.search;
if (localStorage.getItem(SIGNED_IN) === null) logInFirst(wanted);

// When the session is over, Prefect's UI opens its own login page without loading a document.
for (const name of ["pushState", "replaceState"]) {
  const original = history[name].bind(history);
  history[name] = (state, title, url) => {
    if (url && new URL(url, location.href).pathname === "/login") {
      localStorage.removeItem(SIGNED_IN);
      logInFirst(location.pathname + location.search);
      return;
    }
    original(state, title, url);
  };
}

addEventListener("DOMContentLoaded", () => {
  const link = document.createElement("a");
  link.href = "/console/";
  link.textContent = "Sources";
  link.title = "The console: sources, events, SIEMs";
  Object.assign(link.style, {
    position: "fixed", right: "16px", bottom: "12px", zIndex: 50, padding: "6px 12px", borderRadius: "999px",
    background: "#1f5fbf", color: "#fff", font: "600 13px system-ui, sans-serif", textDecoration: "none",
  });
  document.body.append(link);
});
