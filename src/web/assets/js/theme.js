// Sets the theme before anything is drawn. A classic script: a module would come too late, and the page would flash.

try {
  const theme = localStorage.getItem("bunraku-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's choice counts.
}
