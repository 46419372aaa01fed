// Open the login page if no password was entered yet. Otherwise Prefect's UI first calls its API without one, and shows
// "Authentication failed" before the user has typed anything.
if (localStorage.getItem("prefect-password") === null && location.pathname !== "/login") {
  const wanted = location.pathname === "/" ? "/dashboard" : location.pathname + location.search;
  history.replaceState(null, "", "/login?redirect=" + encodeURIComponent(wanted));
}
