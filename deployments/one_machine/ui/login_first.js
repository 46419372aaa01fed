// Lead to the login page whoever has given no password yet. Prefect's UI asks its API first, without one, and then
// greets with "Authentication failed" before anything was typed.
if (localStorage.getItem("prefect-password") === null && location.pathname !== "/login") {
  const wanted = location.pathname === "/" ? "/dashboard" : location.pathname + location.search;
  history.replaceState(null, "", "/login?redirect=" + encodeURIComponent(wanted));
}
