// The pages of backups: one that is being made goes live, and the page follows when it is ready.

import "../backup-progress.js";

for (const shown of document.querySelectorAll("backup-progress")) {
  shown.addEventListener("ready", () => window.location.reload());
}
